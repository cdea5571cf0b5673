"""A plan and each step up counted again, with other code than that which decided.

Place in the flow: fold → decide → **check** → shell. Pure.
"""
