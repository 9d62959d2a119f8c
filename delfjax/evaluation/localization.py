"""Measure how well scores find the landmark in a photo, given the landmark's mask (Sec. 5.3).

The paper shows example photos (Fig. 9): attention selects features on landmarks, the descriptor
norm does not. The masks of the rendered data set allow to count it. The measures are not in the
paper. For random scores, the expected hit rate is the mask's fraction of the photo.
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
    """Return whether each keypoint, rounded to a pixel, lies on the landmark.

    Args:
        features: Features of a photo.
        mask: Pixels of the photo that show the landmark.

    Raises:
        ValueError: The mask and the photo differ in size.
    """
    if mask.shape != features.image_size:
        raise ValueError(
            f"mask of {mask.shape} pixels for a photo of {features.image_size}: expected equal sizes"
        )
    rows, columns = np.rint(features.positions).astype(int).T
    return mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]


def hit_rate(
    features: Features, mask: Bool[np.ndarray, "h w"], counts: Sequence[int]
) -> Float[np.ndarray, " k"]:
    """Compute the fraction of the best keypoints that lie on the landmark.

    Args:
        features: Features of a photo, best score first.
        mask: Pixels of the photo that show the landmark.
        counts: Numbers of best keypoints to count, from 1.

    Returns:
        0 to 1 for each count; NaN if the photo has fewer keypoints.

    Raises:
        ValueError: The mask and the photo differ in size.
    """
    hits = np.cumsum(is_on_landmark(features, mask))
    return np.array([hits[c - 1] / c if c <= len(hits) else np.nan for c in counts])


def shifted_hit_rates(
    photos: Sequence[Features], masks: Sequence[Bool[np.ndarray, "h w"]], count: int, shift: float
) -> Float[np.ndarray, " b"]:
    """Compute the hit rate of each photo after all keypoints are shifted down and to the right.

    This tests the computed positions: if features respond to something beside the center of their
    receptive field, another shift than 0 has the highest hit rate.

    Args:
        photos: Features of each photo, best score first.
        masks: Pixels of each photo that show the landmark.
        count: Number of best keypoints to count.
        shift: Shift in both directions, in pixels of the pyramid level of each feature. Keypoints
            that leave the photo move to its edge.

    Returns:
        0 to 1 for each photo; NaN if it has fewer keypoints.
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
    """Compute the hit rates of all photos in a store that show a landmark well enough.

    Args:
        store: Features of the rendered evaluation photos.
        annotations: Annotations of these photos by name. Photos of grade ``"junk"`` and photos that
            are not in the store are left out.
        counts: Numbers of best keypoints to count, from 1.

    Returns:
        Hit rate for each count, by photo name.
    """
    return {
        each.photo: hit_rate(store.read(each.photo), each.mask, counts)
        for each in annotations.values()
        if each.grade in ("good", "ok") and each.photo in store
    }


def pixel_average_precision(
    scores: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Compute the average precision of a score map that classifies pixels as landmark or not.

    Args:
        scores: Score of each pixel.
        mask: Pixels that show the landmark.

    Returns:
        0 to 1; NaN if no pixel shows the landmark.
    """
    if not mask.any():
        return np.nan
    return float(average_precision_score(mask.ravel(), scores.ravel()))


def normalized_entropy(scores: Float[np.ndarray, "*shape"]) -> float:
    """Compute the entropy of a score map, divided by the highest possible entropy.

    Args:
        scores: Non-negative scores. They are divided by their sum to form a distribution.

    Returns:
        1 if all scores are equal, 0 if a single score is not 0.

    Raises:
        ValueError: A score is negative, or all are 0.
    """
    if (scores < 0).any() or not scores.sum() > 0:
        raise ValueError(
            "a score is negative or all are 0; expected non-negative scores, not all 0"
        )
    probabilities = scores.ravel() / scores.sum()
    probabilities = probabilities[probabilities > 0]
    if scores.size == 1:
        return 0.0
    return float(-(probabilities * np.log(probabilities)).sum() / np.log(scores.size))
