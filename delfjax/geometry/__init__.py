"""Geometric verification by RANSAC."""
