"""The language of the platform, events, values, lifecycle, chain, and its plumbing."""
