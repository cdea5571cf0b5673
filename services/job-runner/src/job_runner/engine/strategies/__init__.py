"""The coded strategies: one module and one compiled `step` per template of the catalogue.

A step is handed one bar, the one that has just ended, and its own state; there is no argument through which it could
see a later bar. The backtest calls it inside one compiled loop, the paper runner bar by bar: the same function.
"""
