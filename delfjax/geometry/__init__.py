"""Verify matches between two photos: fit an affine map by RANSAC."""
