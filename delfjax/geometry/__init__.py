"""Verify matches between two photos: fit an affine map or a homography by RANSAC."""
