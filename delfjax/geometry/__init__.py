"""Verify matches of local features: fit an affine map or a homography between two photos by RANSAC."""
