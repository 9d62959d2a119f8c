"""Summarize an evaluation as JSON or text: scores, curve, and keypoints on the landmark."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from delfjax.datasets import rendered
from delfjax.evaluation.benchmark import Evaluation, number_landmarks
from delfjax.evaluation.localization import hit_rate
from delfjax.evaluation.precision_recall import pool, precision_at_recall, summarize_curve
from delfjax.evaluation.significance import bootstrap_interval
from delfjax.features.store import FeatureStore

RECALLS = (10, 30, 100, 300, 1000)  # recalls (numbers of correct results) on the axis of Fig. 5
BEST = 100  # number of best keypoints of a photo that are compared with the landmark's mask


def report(evaluation: Evaluation) -> dict[str, Any]:
    """Summarize an evaluation as a dict that can be saved as JSON.

    The dict holds `Evaluation.summary` under the default protocol, and mAP under the other
    protocols. Distractor queries (queries without a correct photo) add the precision-recall curve
    of Fig. 5. The rendered set adds the share of keypoints on the landmark.
    """
    benchmark, result = evaluation.benchmark, evaluation.summary()
    others = list(evaluation.scores)[1:]
    result["other_protocols"] = {name: evaluation.summary(name)["value"] for name in others}
    if benchmark.distractor_queries:
        result |= _precision_recall(evaluation)
    # Only the rendered data set has checksums. A labeled folder may also be named "rendered".
    if benchmark.checksums is not None and evaluation.config.uses_local_features:
        result |= _keypoints_on_landmark(evaluation)
    return result


def format_report(evaluation: Evaluation, result: dict[str, Any]) -> str:
    """Format an evaluation, and the dict that `report` returned, as text for a terminal."""
    lines = []
    for protocol in evaluation.scores:
        scores = evaluation.summary(protocol)
        low, high = scores["interval"]
        lines += [
            f"protocol    {protocol}",
            f"mAP         {scores['value']:.1f}  (95% interval over landmarks: {low:.1f} to {high:.1f})",
            *(f"P@{k:<2}        {value:.1f}" for k, value in scores["precision_at"].items()),
        ]
    lines += [
        f"precision   {value:.1f} at {recall} correct results over all queries (Eq. 4)"
        for recall, value in result.get("precision_at_recall", {}).items()
    ]
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


def _precision_recall(evaluation: Evaluation) -> dict[str, Any]:
    """Return the precision over all queries and distractor queries, at `RECALLS` and as a curve."""
    pooled = pool(evaluation)
    precisions = precision_at_recall(pooled, np.array(RECALLS))
    return {
        "precision_at_recall": {
            str(recall): round(100 * precision, 2)
            for recall, precision in zip(RECALLS, precisions.tolist(), strict=True)
            if not np.isnan(precision)
        },
        "curve": summarize_curve(pooled, number_landmarks(evaluation.benchmark)),
    }


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
    precisions = 100 * evaluation.scores[benchmark.default_protocol].average_precision
    landmarks = [truths[query.photo].landmark for query in benchmark.queries]
    shown = [str(truths[photo].landmark) for photo in shares]
    found = {
        "value": round(float(np.nanmean(values)), 1),
        "interval": [round(edge, 1) for edge in bootstrap_interval(values, groups=shown)],
        "chance": round(100 * float(np.mean([truths[photo].area_fraction for photo in shares])), 1),
        "photos": len(shares),
        "by_landmark": _means(zip(shown, shares.values(), strict=True)),
        "average_precision": _means(zip(landmarks, precisions.tolist(), strict=True)),
    }
    return {"on_landmark": found}


def _means(values: Iterable[tuple[str | None, float]]) -> dict[str, float]:
    """Average the values of each name. Values without a name do not count."""
    groups: dict[str, list[float]] = {}
    for name, value in values:
        if name is not None:
            groups.setdefault(name, []).append(value)
    return {name: round(float(np.nanmean(group)), 1) for name, group in groups.items()}
