"""Strategies that come with the job-runner: ordinary plug-ins, found by their entry points as any other.

A step is handed one bar, the one that has just ended, and its own state; there is no argument through which it could see a later bar. The
backtest calls it inside one compiled loop, the paper runner bar by bar: the same function.
"""
