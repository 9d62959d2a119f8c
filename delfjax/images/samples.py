"""Load sample photos that need no download."""

import numpy as np
from sklearn.datasets import load_sample_image

from delfjax.types import Photo


def temple() -> Photo:
    """Return scikit-learn's ``china.jpg``, a pavilion at a lake, 427 x 640 pixels (CC BY 2.0)."""
    return np.asarray(load_sample_image("china.jpg"))


def flower() -> Photo:
    """Return scikit-learn's ``flower.jpg``, 427 x 640 pixels (CC BY 2.0)."""
    return np.asarray(load_sample_image("flower.jpg"))
