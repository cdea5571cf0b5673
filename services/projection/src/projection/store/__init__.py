"""Rows and the offsets that they come from, in one transaction.

Place in the flow: changes of rows → **store** → PostgreSQL.
"""
