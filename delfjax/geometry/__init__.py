"""Geometric verification of matches between two photos."""
