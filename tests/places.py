"""Photos of made places for the tests of search: their features, and other views of them."""

import numpy as np

from delfjax.types import Features

AFFINE = np.array([[0.8, 0.1, 30.0], [-0.1, 0.9, 12.0]])


def features(positions, descriptors):
    count = len(positions)
    return Features(
        positions=np.float32(positions),
        scales=np.ones(count, np.float32),
        scores=np.ones(count, np.float32),
        descriptors=np.float32(descriptors),
        image_size=(480, 640),
    )


def directions(count, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, 40))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def place(seed, count=60):
    """A photo of a place of its own: random positions and descriptors."""
    positions = np.random.default_rng(seed).uniform(0, 450, (count, 2))
    return features(positions, directions(count, 1000 + seed))


def view(photo, seed, *, geometry=True, share=1.0):
    """The same descriptors, a little off, seen through the affine map, or scattered."""
    random = np.random.default_rng(seed)
    keep = slice(round(share * len(photo)))
    moved = photo.positions @ AFFINE[:, :2].T + AFFINE[:, 2]
    positions = moved if geometry else random.uniform(0, 450, photo.positions.shape)
    noisy = photo.descriptors + 0.02 * random.normal(size=photo.descriptors.shape)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    return features(positions, noisy)[keep]
