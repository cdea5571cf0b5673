"""Bars: where they come from, how they are checked, and which edition of them this process goes by.

Place in the flow: embedded bars, files or an exchange → **market** → research, search and paper sessions.
"""
