"""Geometric verification: fit a map between two photos to the matches of their features."""
