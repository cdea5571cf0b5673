"""What the planner knows, and how the log makes it: entities in tables, inputs and own facts folded into them.

Place in the flow: **fold** → decide → check → shell. Pure.
"""
