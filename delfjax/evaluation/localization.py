"""How well a score picks the landmark, where the true mask of the landmark is known (Sec. 5.3, Fig. 9).

The paper shows by pictures that attention looks at landmarks and that the norm of a descriptor does not.
On the rendered landmarks it can be counted. Not in the paper: all of these measures.

Symbols: ``s`` a score map, ``m`` the mask of the landmark, ``n`` keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score

from delfjax.datasets.rendered import PhotoTruth
from delfjax.features.store import FeatureStore
from delfjax.types import Features


def on_landmark(features: Features, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, " n"]:
    """Tell of each keypoint whether its position, rounded to a pixel, shows the landmark.

    Raises:
        ValueError: If the mask is of another size than the photo of the features.
    """
    if mask.shape != features.image_size:
        raise ValueError(f"a mask of {mask.shape} for a photo of {features.image_size}")
    rows, columns = np.rint(features.positions).astype(int).T
    return mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]


def hits_of_top(
    features: Features, mask: Bool[np.ndarray, "h w"], counts: Sequence[int]
) -> Float[np.ndarray, " k"]:
    """Compute the share of the ``count`` best keypoints that lie on the landmark, for each count.

    Chance would give the mask's share of the photo. NaN for more keypoints than there are.
    """
    hits = np.cumsum(on_landmark(features, mask))
    return np.array([hits[c - 1] / c if c <= len(hits) else np.nan for c in counts])


def hits_when_moved(
    photos: Sequence[Features],
    masks: Sequence[Bool[np.ndarray, "h w"]],
    count: int,
    shift: float,
) -> Float[np.ndarray, " b"]:
    """Compute `hits_of_top` of keypoints moved down and right by some pixels of their level, photos not shrunk.

    Where cells answer to what lies beside the center of their receptive field, some other place hits more. What
    is moved off the photo comes to its edge.
    """
    found = []
    for features, mask in zip(photos, masks, strict=True):
        best = features[:count]
        moved = (best.positions + shift / best.scales[:, None]).astype(np.float32)
        found.append(hits_of_top(replace(best, positions=moved), mask, [count])[0])
    return np.array(found)


def hits_in_store(
    store: FeatureStore, truths: Mapping[str, PhotoTruth], counts: Sequence[int]
) -> dict[str, Float[np.ndarray, " k"]]:
    """Compute `hits_of_top` for each photo of a store that shows a landmark well enough to be found.

    Args:
        store: Features of the rendered set's ``eval`` photos.
        truths: What is known of them; photos graded ``"junk"``, or not in the store, are left out.
        counts: Numbers of keypoints.
    """
    shown = (t for t in truths.values() if t.grade in ("good", "ok") and t.photo in store)
    return {t.photo: hits_of_top(store.read(t.photo), t.mask, counts) for t in shown}


def detection_average_precision(
    scores: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Compute the average precision of a score map as a detector of the landmark's pixels.

    NaN where the photo does not show it. Chance would give the mask's share of the photo.
    """
    if not mask.any():
        return np.nan
    return float(average_precision_score(mask.ravel(), scores.ravel()))


def entropy(scores: Float[np.ndarray, "*shape"]) -> float:
    """Compute the entropy of scores taken as a distribution over cells, over that of a flat one.

    1 for scores that are the same everywhere, 0 for one cell that has everything.

    Raises:
        ValueError: If scores are negative, or all of them 0.
    """
    if (scores < 0).any() or not scores.sum() > 0:
        raise ValueError("expected scores from 0 up, and not all 0")
    shares = scores.ravel() / scores.sum()
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum() / np.log(scores.size)) if scores.size > 1 else 0.0
