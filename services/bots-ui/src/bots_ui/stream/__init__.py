"""Live pages: what each open page shows, and the one hub that tells them.

Place in the flow: api → **stream** → open pages.
"""
