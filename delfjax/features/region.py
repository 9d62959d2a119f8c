"""A region of interest in a query: keep only the features in a box.

The paper's benchmarks ask by a box, which is cut out before extraction (`delfjax.datasets.benchmark`); this
is for features that are extracted already, as when a user draws the box on a photo.
"""

import numpy as np

from delfjax.images.reading import Box
from delfjax.types import Features


def inside(features: Features, box: Box, *, field: float = 0.0) -> Features:
    """Keep the features that a box holds.

    Args:
        features: Of a photo.
        box: The part of the photo; its edges lie between pixels, positions at pixels' centers.
        field: Side of the receptive field at scale 1, in pixels of the photo: the box must hold it, as far
            as it lies in the photo. 291 for ResNet-50 v1 (`delfjax.models.resnet.receptive_field`), and more in
            proportion where the photo was shrunk before extraction. 0 asks only for positions.
    """
    reach = field / 2 / features.scales[:, None]
    middle = features.positions + 0.5
    low = np.maximum(middle - reach, 0)
    high = np.minimum(middle + reach, features.image_size)
    held = (low >= (box.top, box.left)) & (high <= (box.bottom, box.right))
    return features[held.all(1)]
