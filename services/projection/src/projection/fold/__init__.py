"""What the log says, as rows: pure, each kind of fact in its place.

Place in the flow: intake → **fold** → changes of rows → store.
"""
