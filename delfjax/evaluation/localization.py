"""Measure how well scores find the landmark in a photo, given the landmark's mask (Sec. 5.3).

A mask is true at the pixels that show the landmark. The paper shows example photos (Fig. 9), in which
attention selects features on landmarks and the descriptor norm does not. The masks of the rendered
data set turn this into numbers. The measures are not in the paper. The hit rate is the fraction of
the keypoints that lie on the landmark. For random scores, the expected hit rate is the fraction of
the photo that shows the landmark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score

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
    rows, columns = np.rint(features.positions).astype(int).T
    return mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]


def hit_rate(
    features: Features, mask: Bool[np.ndarray, "h w"], counts: Sequence[int]
) -> Float[np.ndarray, " k"]:
    """Compute the fraction of the best keypoints that lie on the landmark.

    Args:
        features: Features of a photo, best score first.
        mask: True at the pixels of the photo that show the landmark.
        counts: Numbers of best keypoints to use, at least 1 each.

    Returns:
        One fraction per count, 0 to 1. NaN if the photo has fewer keypoints than the count.

    Raises:
        ValueError: If the mask and the photo differ in size.
    """
    hits = np.cumsum(is_on_landmark(features, mask))
    return np.array([hits[c - 1] / c if c <= len(hits) else np.nan for c in counts])


def shifted_hit_rates(
    photos: Sequence[Features], masks: Sequence[Bool[np.ndarray, "h w"]], count: int, shift: float
) -> Float[np.ndarray, " b"]:
    """Compute the hit rate of each photo after all keypoints are moved down and to the right.

    This tests the positions of keypoints. If features respond to something beside the center of
    their receptive field, the hit rate is highest at a shift other than 0.

    Args:
        photos: Features of each photo, best score first.
        masks: For each photo, True at the pixels that show the landmark.
        count: Number of best keypoints to use.
        shift: Distance down and to the right, in pixels of the pyramid level (the resized photo) of
            each feature. Keypoints that leave the photo are moved to its edge.

    Returns:
        One hit rate per photo, 0 to 1. NaN if the photo has fewer than ``count`` keypoints.
    """
    rates = []
    for features, mask in zip(photos, masks, strict=True):
        best = features[:count]
        shifted = (best.positions + shift / best.scales[:, None]).astype(np.float32)
        rates.append(hit_rate(replace(best, positions=shifted), mask, [count])[0])
    return np.array(rates)


def hit_rates_in_store(
    store: FeatureStore, annotations: Mapping[str, PhotoAnnotation], counts: Sequence[int]
) -> dict[str, Float[np.ndarray, " k"]]:
    """Compute the hit rates of all photos in a store with a landmark of grade "good" or "ok".

    Args:
        store: Features of the rendered evaluation photos.
        annotations: Annotations of the photos, by photo name. Photos without a landmark, photos of
            grade ``"junk"`` and photos that are not in the store are left out.
        counts: Numbers of best keypoints to use, at least 1 each.

    Returns:
        For each photo name, one hit rate per count.
    """
    return {
        each.photo: hit_rate(store.read(each.photo), each.mask, counts)
        for each in annotations.values()
        if each.grade in ("good", "ok") and each.photo in store
    }


def pixel_average_precision(
    scores: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Compute the average precision of scores that classify pixels as landmark or background.

    Args:
        scores: Score of each pixel.
        mask: True at the pixels that show the landmark.

    Returns:
        Average precision, 0 to 1. NaN if no pixel shows the landmark.
    """
    if not mask.any():
        return np.nan
    return float(average_precision_score(mask.ravel(), scores.ravel()))


def normalized_entropy(scores: Float[np.ndarray, "*shape"]) -> float:
    """Compute the entropy of a score map, divided by the highest possible entropy.

    Args:
        scores: Non-negative scores. Divided by their sum, they form a probability distribution.

    Returns:
        Entropy from 0 to 1. It is 1 if all scores are equal, and 0 if only one score is above 0.

    Raises:
        ValueError: If a score is negative, or if all scores are 0.
    """
    if (scores < 0).any() or not scores.sum() > 0:
        raise ValueError(
            "a score is negative, or all scores are 0; expected non-negative scores, at least one "
            "above 0"
        )
    probabilities = scores.ravel() / scores.sum()
    probabilities = probabilities[probabilities > 0]
    if scores.size == 1:
        return 0.0
    return float(-(probabilities * np.log(probabilities)).sum() / np.log(scores.size))
