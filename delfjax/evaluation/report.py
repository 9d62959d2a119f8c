"""Summarize an evaluation as JSON or text: scores, curve, and keypoints on the landmark."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from delfjax.datasets import rendered
from delfjax.evaluation.benchmark import Evaluation
from delfjax.evaluation.precision_recall import pool, summarize_curve
from delfjax.evaluation.significance import bootstrap_interval
from delfjax.features.store import FeatureStore
from delfjax.types import Features

BEST = 100  # number of best keypoints of a photo that are compared with the landmark's mask


def report(evaluation: Evaluation) -> dict[str, Any]:
    """Summarize an evaluation as a dict that can be saved as JSON.

    The dict holds `Evaluation.summary` under the default protocol, and mAP under the other
    protocols. With distractor queries (without a correct photo), the dict also holds the curve of
    Fig. 5. For rendered data sets, the dict holds the share of best keypoints on the landmark.
    """
    benchmark, result = evaluation.benchmark, evaluation.summary()
    others = list(evaluation.scores)[1:]
    result["other_protocols"] = {name: evaluation.summary(name)["value"] for name in others}
    if benchmark.distractor_queries:
        result["curve"] = summarize_curve(pool(evaluation), result["landmarks"])
    # Only the rendered data set has checksums. A labeled folder may also be named "rendered".
    if benchmark.checksums is not None and evaluation.config.uses_local_features:
        result |= _keypoints_on_landmark(evaluation)
    return result


def format_report(evaluation: Evaluation, result: dict[str, Any]) -> str:
    """Format an evaluation, and the dict that `report` returned for it, as text for a terminal."""
    lines = []
    for protocol in evaluation.scores:
        scores = evaluation.summary(protocol)
        low, high = scores["interval"]
        lines += [
            f"protocol    {protocol}",
            f"mAP         {scores['value']:.1f}  (95% interval over landmarks: {low:.1f} to {high:.1f})",
            *(f"P@{k:<2}        {value:.1f}" for k, value in scores["precision_at"].items()),
        ]
    if "curve" in result:
        mean, (low, high) = result["curve"]["mean"], result["curve"]["interval"]
        lines.append(
            f"precision   {mean:.1f}  (mean over recalls; 95% interval: {low:.1f} to {high:.1f})"
        )
    lines += [
        f"queries     {result['queries']}, database {result['database']} photos",
        f"index       {evaluation.index_kind}, recall@60 {evaluation.recall:.3f}",
        *(f"{stage:16}{value:8.1f} s" for stage, value in evaluation.seconds.items()),
        f"features    {evaluation.store}",
    ]
    if "on_landmark" in result:
        value = result["on_landmark"]["value"]
        lines.append(f"landmark    {value} % of the best {BEST} keypoints lie on the landmark")
    return "\n".join(lines)


def _keypoints_on_landmark(evaluation: Evaluation) -> dict[str, Any]:
    """Return the share of the best keypoints on the landmark in percent, with an interval.

    A query may be cut from a photo; the share is measured on the whole photo. The dict is empty if
    there are too few keypoints.
    """
    benchmark = evaluation.benchmark
    truths, store = rendered.annotations(benchmark.root.parent), FeatureStore(evaluation.store)
    shares = {
        photo: 100 * float(hit_rate(store.read(photo), truth.mask, [BEST])[0])
        for photo, truth in truths.items()
        if truth.grade in ("good", "ok") and photo in store
    }
    values = np.array([*shares.values()])
    if np.isnan(values).all():
        return {}
    landmarks = [str(truths[photo].landmark) for photo in shares]
    low, high = bootstrap_interval(values, groups=landmarks)
    found = {
        "value": round(float(np.nanmean(values)), 1),
        "interval": [round(max(low, 0), 1), round(min(high, 100), 1)],
        "chance": round(100 * float(np.mean([truths[photo].area_fraction for photo in shares])), 1),
        "photos": len(shares),
    }
    return {"on_landmark": found}


def hit_rate(
    features: Features, mask: Bool[np.ndarray, "h w"], counts: Sequence[int]
) -> Float[np.ndarray, " k"]:
    """Compute the fraction of the best keypoints whose nearest pixel shows the landmark.

    With random scores, this fraction is about the fraction of the photo that shows the landmark. Not
    in the paper: Fig. 9 shows only examples of selected features.

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
