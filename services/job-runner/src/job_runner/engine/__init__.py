"""Decides and fills: the same compiled code over all bars at once and bar by bar, with the statistics of what came out.

Place in the flow: bars → **engine** → research, search and paper sessions.
"""
