"""Everything with a clock, a connection or a drawn id: the loop that reads, leads, appends tries and learns their verdicts.

Place in the flow: fold → decide → check → **shell**.
"""
