"""A benchmark from photos to figures: extract, index, search every query, score the rankings (Sec. 5).

The same few lines serve Oxford5k, the rendered set and a class-labelled folder: what differs is in
their `Benchmark`.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from delfjax.axes import Features
from delfjax.collection import LocalExtractor, ReductionConfig, Report, extract_folder, made_by
from delfjax.datasets.benchmark import Benchmark
from delfjax.datasets.labelled import labelled
from delfjax.exact import ExactIndex
from delfjax.google_metrics import retrieval
from delfjax.index import PAPER_NEIGHBOURS, Index, build_index
from delfjax.metrics import Scores, Truth, bootstrap, evaluate
from delfjax.photos import PhotoFolder
from delfjax.results import circumstances
from delfjax.search import Answer, SearchConfig, Searcher
from delfjax.store import FeatureStore

KS = (1, 5, 10)


@dataclass(kw_only=True, eq=False)
class Evaluation:
    """A benchmark's rankings and what they are worth.

    Attributes:
        benchmark: What was asked, without the photos that could not be read.
        answers: Rankings and matches, of the queries and then of the distractor queries.
        scores: Of each protocol: average precision, and precision at 1, 5 and 10.
        seconds: Wall time by stage.
        report: What became of each photo.
        index_kind: ``ExactIndex`` or ``NNDescentIndex``.
        recall: Of that index at 60 neighbours, against exact search.
        settings: Every configuration that the figures depend on.
        store: Where the features are kept.
    """

    benchmark: Benchmark
    answers: list[Answer]
    scores: dict[str, Scores]
    seconds: dict[str, float]
    report: Report
    index_kind: str
    recall: float
    settings: dict[str, Any]
    store: Path

    def summary(self, protocol: str | None = None) -> dict[str, Any]:
        """Return what is worth keeping of a protocol (by default the first), as numbers and words."""
        scores = self.scores[protocol or self.benchmark.protocol]
        low, high = bootstrap(scores.average_precision, seed=0)
        return {
            "value": round(100 * scores.mean_average_precision, 2),
            "interval": [round(100 * low, 2), round(100 * high, 2)],
            "precision_at": {
                str(k): round(100 * float(value), 2)
                for k, value in zip(scores.ks, scores.mean_precision_at, strict=True)
            },
            "what": self._what(),
            "benchmark": self.benchmark.name,
            "protocol": protocol or self.benchmark.protocol,
            "average_precision": [
                None if np.isnan(value) else round(100 * value, 2)  # nothing to find: no number
                for value in scores.average_precision.tolist()
            ],
            "queries": len(self.benchmark.queries),
            "database": len(self.benchmark.database),
            "index": {"kind": self.index_kind, "recall_at_60": round(self.recall, 4)},
            "failed": {name: str(error) for name, error in self.report.failed.items()},
            "seconds": {stage: round(value, 2) for stage, value in self.seconds.items()},
            **circumstances(self.settings),
        }

    def _what(self) -> str:
        parts = ["mAP", self.benchmark.name]
        if "search" in self.settings:
            chosen = self.settings["extraction"]
            search = self.settings["search"]
            count = search["features"] or chosen["max_features"]
            parts.append(f"{count} features by {chosen['selection']}")
            parts += [f"{search['truncate']} dimensions"] if search["truncate"] else []
        return ", ".join([*parts, *self.settings.get("added", ())])


def evaluate_folder(
    extractor: LocalExtractor,
    photos: PhotoFolder,
    store_path: Path | str,
    *,
    queries: str = "*",
    database: str = "*",
    index: str = "auto",
    search: SearchConfig | None = None,
    reduction: ReductionConfig | None = None,
) -> Evaluation:
    """Evaluate a folder with one sub-folder a class; see `labelled` and `evaluate_benchmark`.

    Args:
        extractor: Model and selection.
        photos: The folder.
        store_path: Where features are kept: a second run reads them from there.
        queries: Which photos are queries, by a pattern of file names.
        database: Which are the database; the PCA is learnt of these.
        index: ``"exact"``, ``"nndescent"`` or ``"auto"``.
        search: How queries are answered.
        reduction: How the PCA is learnt; ``database`` above says of which photos.

    Raises:
        ValueError: If the folder has no classes, a pattern matches no photo, or no query has anything
            to find.
    """
    evaluation = evaluate_benchmark(
        extractor,
        labelled(photos, queries, database),
        store_path,
        index=index,
        search=search,
        reduction=replace(reduction or ReductionConfig(), database=database),
    )
    evaluation.settings |= {"queries": queries, "database": database}
    return evaluation


def evaluate_benchmark(
    extractor: LocalExtractor,
    benchmark: Benchmark,
    store_path: Path | str,
    *,
    index: str = "auto",
    search: SearchConfig | None = None,
    reduction: ReductionConfig | None = None,
) -> Evaluation:
    """Extract what is missing, search every query, and score the rankings.

    Args:
        extractor: Model and selection.
        benchmark: Photos, queries and truth. What cannot be read is left out, and reported.
        store_path: Where features are kept: a second run reads them from there.
        index: ``"exact"``, ``"nndescent"`` or ``"auto"``.
        search: How queries are answered.
        reduction: How the PCA is learnt, from the database without its distractors.

    Raises:
        ValueError: If no query has anything to find.
    """
    search, reduction = search or SearchConfig(), reduction or ReductionConfig()
    seconds: dict[str, float] = {}
    with timed(seconds, "extract"):
        store, report = extract_benchmark(extractor, benchmark, store_path, config=reduction)
    with timed(seconds, "load"):
        benchmark = benchmark.without(report.failed)
        if not any(len(t.positives) for truths in benchmark.truths.values() for t in truths):
            raise ValueError(
                f"{benchmark.root}: no query has another readable photo of its own in the database"
            )
        base = search.database(store, benchmark.database)
        asked = [search.query(store.read(name)) for name in benchmark.query_photos.names]
    with timed(seconds, "build index"):
        searcher = Searcher(base, build_index(base.descriptors, index), search)
    answers = _answer(searcher, asked, seconds)
    with timed(seconds, "measure recall"):
        recall = measured_recall(searcher.index, asked, len(base.descriptors))
    return Evaluation(
        benchmark=benchmark,
        answers=answers,
        scores=score(benchmark, answers),
        seconds=seconds,
        report=report,
        index_kind=type(searcher.index).__name__,
        recall=recall,
        settings=made_by(extractor, reduction) | {"search": asdict(search)},
        store=store.path,
    )


def extract_benchmark(
    extractor: LocalExtractor,
    benchmark: Benchmark,
    store_path: Path | str,
    *,
    config: ReductionConfig | None = None,
) -> tuple[FeatureStore, Report]:
    """Extract the database, its distractors and the queries into one store, in this order.

    The PCA is learnt as the first of them is extracted, so of the database alone.
    """
    total = Report()
    for photos in (benchmark.base_photos, benchmark.distractor_photos, benchmark.query_photos):
        store, report = extract_folder(extractor, photos, store_path, config=config)
        total.add(report)
    return store, total


def score(benchmark: Benchmark, answers: Sequence[Answer]) -> dict[str, Scores]:
    """Score the rankings of a benchmark's queries, by each of its protocols."""
    rankings = [answer.ranking.images for answer in answers[: len(benchmark.queries)]]
    return {
        protocol: _score(benchmark, rankings, truths)
        for protocol, truths in benchmark.truths.items()
    }


def _score(benchmark: Benchmark, rankings: list[np.ndarray], truths: Sequence[Truth]) -> Scores:
    if benchmark.measure == "at_100":
        found = dict(enumerate(ranking.tolist() for ranking in rankings))
        return retrieval(found, dict(enumerate(t.positives.tolist() for t in truths)), ks=KS)
    size = len(benchmark.database)
    return evaluate(rankings, truths, ks=[k for k in KS if k <= size], database_size=size)


def _answer(
    searcher: Searcher, asked: Sequence[Features], seconds: dict[str, float]
) -> list[Answer]:
    with timed(seconds, "neighbours"):
        bar = tqdm(asked, desc="neighbours", unit="query", leave=None)
        neighbours = [searcher.neighbours(query) for query in bar]
    with timed(seconds, "vote and verify"):
        pairs = zip(asked, neighbours, strict=True)
        bar = tqdm(pairs, total=len(asked), desc="verify", unit="query", leave=None)
        return [searcher.rank(query, found) for query, found in bar]


def measured_recall(index: Index, asked: Sequence[Features], size: int) -> float:
    """Measure an index's recall at the paper's number of neighbours, on queries."""
    if isinstance(index, ExactIndex):
        return 1.0
    sample = np.concatenate([query.descriptors for query in asked])
    return index.recall(sample, min(PAPER_NEIGHBOURS, size), sample=1000)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Keep the wall time of what happens inside, by the name of the stage."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
