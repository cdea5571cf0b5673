"""Folds every topic into read models."""
