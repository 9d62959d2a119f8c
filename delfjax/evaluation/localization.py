"""Measure how many keypoints lie on the landmark of a photo, given the landmark's mask (Sec. 5.3).

A mask is true at the pixels that show the landmark. The paper shows example photos (Fig. 9), in which
attention selects features on landmarks and the descriptor norm does not. The masks of the rendered
data set turn this into a number that is not in the paper. The hit rate is the fraction of the
keypoints that lie on the landmark. For random scores, the expected hit rate is the fraction of the
photo that shows the landmark.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from delfjax.datasets.rendered import PhotoAnnotation
from delfjax.features.store import FeatureStore
from delfjax.types import Features


def is_on_landmark(features: Features, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, " n"]:
    """Return for each keypoint whether the nearest pixel shows the landmark.

    Args:
        features: Features of a photo.
        mask: True at the pixels of the photo that show the landmark.

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
    return np.asarray(mask[rows, columns])


def hit_rate(
    features: Features, mask: Bool[np.ndarray, "h w"], counts: Sequence[int]
) -> Float[np.ndarray, " k"]:
    """Compute the fraction of the best keypoints that lie on the landmark.

    Args:
        features: Features of a photo, best score first.
        mask: True at the pixels of the photo that show the landmark.
        counts: Numbers of keypoints: each count ``n`` uses the ``n`` best. At least 1.

    Returns:
        One fraction per count, 0 to 1. NaN if the photo has fewer keypoints than the count.

    Raises:
        ValueError: If the mask and the photo differ in size.
    """
    hits = np.cumsum(is_on_landmark(features, mask))
    return np.array([hits[c - 1] / c if c <= len(hits) else np.nan for c in counts])


def hit_rates_in_store(
    store: FeatureStore, annotations: Mapping[str, PhotoAnnotation], counts: Sequence[int]
) -> dict[str, Float[np.ndarray, " k"]]:
    """Compute hit rates (fractions of keypoints on the landmark) for the photos in a feature store.

    Args:
        store: Features of the rendered evaluation photos.
        annotations: Annotations of the photos, by photo name. Photos without a landmark, with a
            hardly visible one (grade ``"junk"``), and photos that are not in the store are left out.
        counts: Numbers of keypoints: each count ``n`` uses the ``n`` best. At least 1.

    Returns:
        For each photo name, one hit rate per count.
    """
    return {
        each.photo: hit_rate(store.read(each.photo), each.mask, counts)
        for each in annotations.values()
        if each.grade in ("good", "ok") and each.photo in store
    }
