"""A benchmark made ready to be searched: features extracted, the index built, its recall measured (Secs. 4.1, 4.4).

What `evaluation` and `combined` have in common, before any query is answered.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from delfjax.axes import Features
from delfjax.collection import LocalExtractor, ReductionConfig, Report, extract_folder
from delfjax.datasets.benchmark import Benchmark
from delfjax.index_config import IndexConfig, measured_recall
from delfjax.search import SearchConfig, Searcher
from delfjax.store import FeatureStore


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """A benchmark whose local features can be searched.

    Attributes:
        benchmark: Without the photos that could not be read.
        searcher: Over its database.
        asked: Features of the queries, and then of the distractor queries.
        recall: Of the index.
        report: What became of each photo.
        seconds: Wall time by stage.
    """

    benchmark: Benchmark
    searcher: Searcher
    asked: list[Features]
    recall: float
    report: Report
    seconds: dict[str, float]


def prepare(
    extractor: LocalExtractor,
    benchmark: Benchmark,
    store_path: Path | str,
    *,
    index: IndexConfig,
    search: SearchConfig,
    reduction: ReductionConfig,
    report: Report | None = None,
) -> Ready:
    """Extract what is missing, build the index, and measure its recall: all but the answers.

    Args:
        extractor: Model and selection.
        benchmark: Photos, queries and truth.
        store_path: Where features are kept.
        index: Which.
        search: How queries are answered.
        reduction: How the PCA is learnt.
        report: What is known of the photos already; this adds to it.

    Raises:
        ValueError: If no query has anything to find.
    """
    seconds: dict[str, float] = {}
    report = Report() if report is None else report
    with timed(seconds, "extract"):
        store, more = extract_benchmark(extractor, benchmark, store_path, config=reduction)
        report.add(more)
    with timed(seconds, "load"):
        benchmark = answerable(benchmark, report)
        base = search.database(store, benchmark.database)
        asked = [search.query(store.read(name)) for name in benchmark.query_photos.names]
    with timed(seconds, "build index"):
        searcher = Searcher(base, index.build(base.descriptors), search)
    with timed(seconds, "measure recall"):
        recall = measured_recall(searcher.index, base.descriptors, asked)
    return Ready(
        benchmark=benchmark,
        searcher=searcher,
        asked=asked,
        recall=recall,
        report=report,
        seconds=seconds,
    )


def answerable(benchmark: Benchmark, report: Report) -> Benchmark:
    """Leave out the photos that could not be read.

    Raises:
        ValueError: If no query has anything to find, then.
    """
    benchmark = benchmark.without(report.failed)
    if not any(len(t.positives) for truths in benchmark.truths.values() for t in truths):
        raise ValueError(
            f"{benchmark.root}: no query has another readable photo of its own in the database"
        )
    return benchmark


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


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Keep the wall time of what happens inside, by the name of the stage."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
