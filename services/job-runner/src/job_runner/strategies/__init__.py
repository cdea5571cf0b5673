"""Strategies of whoever: found, announced, and run over bars; those from a folder in a process of their own.

Place in the flow: files and packages → **strategies** → offer (announced), research, search and paper sessions.
"""
