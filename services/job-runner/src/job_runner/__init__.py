"""Runs jobs, once each, and says what came out."""
