"""Strategies that were written for other programs, read as strategies of this one; nothing of those programs comes along.

Place in the flow: a user's file → **adapters** → a class of `strategy`, which a runner runs like any other. Source: docs/own-bots.md, "From
freqtrade".
"""
