"""Clustered unit vectors for the tests of indexes."""

import numpy as np


def unit_vectors(count, seed=0, dimensions=40):
    """Unit vectors in 50 clusters, like real descriptors; isotropic noise has no near neighbors."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(50, dimensions))
    noise = 0.35 * random.normal(size=(count, dimensions))
    vectors = centers[random.integers(50, size=count)] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


DATABASE, QUERIES = unit_vectors(3000), unit_vectors(150, seed=1)
