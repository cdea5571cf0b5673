"""Decides, every tick, for every bot, what should happen next and why."""
