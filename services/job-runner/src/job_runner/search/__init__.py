"""One search: generations of parameters, then one look at bars that it never saw.

Place in the flow: order → **search** → report, in a worker process.
"""
