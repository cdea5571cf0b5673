"""Answers whether it is really working, and takes operators commands."""
