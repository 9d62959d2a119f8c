"""Measure how many keypoints lie on the landmark of a photo, given the landmark's mask (Sec. 5.3).

The paper shows photos (Fig. 9) in which attention selects features on landmarks and the descriptor
norm does not. The hit rate measures this: it is the fraction of the keypoints that lie on the
landmark. For random scores, the expected hit rate is the fraction of the photo that shows the
landmark. The hit rate is not in the paper. It needs masks, as in the rendered set.
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
        counts: Numbers of best keypoints that are evaluated, each at least 1.

    Returns:
        Fraction for each count, 0 to 1. NaN if the photo has fewer keypoints than the count.

    Raises:
        ValueError: If mask and photo have different sizes.
    """
    if mask.shape != features.image_size:
        raise ValueError(
            f"the mask has height and width {mask.shape}, but the photo has {features.image_size}. "
            "Fix: pass the mask of this photo"
        )
    last = np.array(mask.shape) - 1
    rows, columns = np.rint(features.positions).clip(0, last).astype(int).T
    hits = np.cumsum(mask[rows, columns])
    return np.array([hits[c - 1] / c if c <= len(hits) else np.nan for c in counts])
