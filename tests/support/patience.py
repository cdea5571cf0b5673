"""How long a test waits for what nobody promised in seconds."""

from typing import Final

PATIENCE_S: Final = 240.0
"""A machine that others load twentyfold is slow, not broken. What is promised in seconds has a bound of its own, or is measured."""
