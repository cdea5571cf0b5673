"""A strategy tried without a stack: checked, and backtested by the very code that a job runs.

Place in the flow: a user's file → **trying** → findings, report. Nothing here is on the way of a job.
"""
