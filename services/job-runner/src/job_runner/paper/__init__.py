"""Paper sessions: bars as the market shows them, traded one after the other.

Place in the flow: claim → **paper** → trades and marks → result.
"""
