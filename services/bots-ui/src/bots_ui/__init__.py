"""The Bots page."""
