"""Figures: pure functions from arrays to a matplotlib Figure, and how one comes to be a file."""
