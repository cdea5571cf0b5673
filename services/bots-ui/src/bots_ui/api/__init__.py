"""The proof API as this page knows it: the only thing behind it.

Place in the flow: proof-api → **api** → rows, facts and pages.
"""
