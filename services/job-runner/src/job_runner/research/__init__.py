"""One backtest with its validation suite.

Place in the flow: order → **research** → report, in a worker process.
"""
