"""The notifier: tells people what happened, and when nothing does."""
