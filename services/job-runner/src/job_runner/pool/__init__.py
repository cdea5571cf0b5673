"""Backtests and searches in processes of their own.

Place in the flow: claim → **pool** → research or search → result.
"""
