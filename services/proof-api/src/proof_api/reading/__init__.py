"""The read models as answers: one picture of them all, lists and details, and the connections for both.

Place in the flow: PostgreSQL → **reading** → routes.
"""
