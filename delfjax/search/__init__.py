"""Nearest neighbors, votes and rankings."""
