"""Builders and drivers for tests: real values, no mocks."""
