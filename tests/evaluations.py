"""Evaluations with given rankings, without extraction and search."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from delfjax.datasets.benchmark import Benchmark
from delfjax.evaluation.benchmark import Evaluation, score
from delfjax.evaluation.config import RunConfig
from delfjax.features.store import ExtractionReport
from delfjax.search.searcher import SearchResult
from delfjax.types import Ranking


def ranked(
    images: Sequence[int], inliers: Sequence[int], scores: Sequence[float] | None = None
) -> SearchResult:
    """Return a search result with these photos, best first, and one vote more than inliers."""
    ranking = Ranking(
        images=np.array(images, int),
        inliers=np.array(inliers, int),
        votes=np.array(inliers, int) + 1,
        scores=None if scores is None else np.array(scores, float),
    )
    return SearchResult(ranking=ranking, matches={}, verifications={})


def evaluation_of(benchmark: Benchmark, *results: SearchResult) -> Evaluation:
    """Return an evaluation with one result for each query and distractor query."""
    return Evaluation(
        benchmark=benchmark,
        results=[*results],
        scores=score(benchmark, results),
        seconds={},
        report=ExtractionReport(),
        index_kind="exact",
        recall=1.0,
        config=RunConfig(),
        inputs={},
        store=Path(),
    )
