"""What the planner decides from what it knows: gates, wishes, who gets a place, what becomes of bots and commands, and the words for it.

Place in the flow: fold → **decide** → check → shell. Pure.
"""
