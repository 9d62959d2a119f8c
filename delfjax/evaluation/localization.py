"""Measure how many keypoints lie on the landmark of a photo, given the landmark's mask (Sec. 5.3).

The paper shows example photos (Fig. 9), in which attention selects features on landmarks and the
descriptor norm does not. The masks of the rendered data set turn this into a number that is not in
the paper. The hit rate is the fraction of the keypoints that lie on the landmark. For random scores,
the expected hit rate is the fraction of the photo that shows the landmark.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from delfjax.types import Features


def hit_rate(
    features: Features, mask: Bool[np.ndarray, "h w"], counts: Sequence[int]
) -> Float[np.ndarray, " k"]:
    """Compute the fraction of the best keypoints whose nearest pixel shows the landmark.

    Args:
        features: Features of a photo, best score first.
        mask: True at the pixels of the photo that show the landmark.
        counts: Numbers of keypoints: each count ``n`` uses the ``n`` best. At least 1.

    Returns:
        One fraction per count, 0 to 1. NaN if the photo has fewer keypoints than the count.

    Raises:
        ValueError: If the mask and the photo differ in size.
    """
    if mask.shape != features.image_size:
        raise ValueError(
            f"the mask has (height, width) {mask.shape}, but the photo has {features.image_size}; "
            "expected equal sizes. Fix: pass the mask of this photo"
        )
    last = np.array(mask.shape) - 1
    rows, columns = np.rint(features.positions).clip(0, last).astype(int).T
    hits = np.cumsum(mask[rows, columns])
    return np.array([hits[c - 1] / c if c <= len(hits) else np.nan for c in counts])
