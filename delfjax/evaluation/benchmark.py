"""A benchmark made ready to be searched: features extracted, the index built, its recall measured (Secs. 4.1, 4.4).

What `evaluation` and `combined` have in common, before any query is answered.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.datasets.benchmark import Benchmark
from delfjax.datasets.labeled_folder import labeled
from delfjax.datasets.truth import Truth
from delfjax.evaluation.google_landmarks import retrieval
from delfjax.evaluation.metrics import Scores, bootstrap, evaluate
from delfjax.features.extract_folder import (
    LocalExtractor,
    PCAConfig,
    ExtractionReport,
    extract_folder,
    store_settings,
)
from delfjax.features.extraction import Extractor
from delfjax.features.global_descriptors import (
    GlobalConfig,
    GlobalExtractor,
    GlobalDescriptors,
    extract_global_descriptors,
    whiten_descriptors,
)
from delfjax.features.store import FeatureStore
from delfjax.files import digest
from delfjax.images.reading import PhotoFolder
from delfjax.provenance import circumstances
from delfjax.search.expansion import ExpansionConfig, average, expand, trusted
from delfjax.search.fusion import by_similarity, followed, fuse
from delfjax.search.index import IndexConfig, measured_recall
from delfjax.search.searcher import Answer, SearchConfig, Searcher
from delfjax.types import Features


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
    report: ExtractionReport
    seconds: dict[str, float]


def prepare(
    extractor: LocalExtractor,
    benchmark: Benchmark,
    store_path: Path | str,
    *,
    index: IndexConfig,
    search: SearchConfig,
    pca: PCAConfig,
    report: ExtractionReport | None = None,
) -> Ready:
    """Extract what is missing, build the index, and measure its recall: all but the answers.

    Args:
        extractor: Model and selection.
        benchmark: Photos, queries and truth.
        store_path: Where features are kept.
        index: Which.
        search: How queries are answered.
        pca: How the PCA is learned.
        report: What is known of the photos already; this adds to it.

    Raises:
        ValueError: If no query has anything to find.
    """
    seconds: dict[str, float] = {}
    report = ExtractionReport() if report is None else report
    with timed(seconds, "extract"):
        store, more = extract_benchmark(extractor, benchmark, store_path, config=pca)
        report.update(more)
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


def answerable(benchmark: Benchmark, report: ExtractionReport) -> Benchmark:
    """Leave out the photos that could not be read.

    Raises:
        ValueError: If no query has anything to find, then.
    """
    benchmark = benchmark.drop_photos(report.failed)
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
    config: PCAConfig | None = None,
) -> tuple[FeatureStore, ExtractionReport]:
    """Extract the database, its distractors and the queries into one store, in this order.

    The PCA is learned as the first of them is extracted, so of the database alone.
    """
    total = ExtractionReport()
    for photos in (benchmark.base_photos, benchmark.distractor_photos, benchmark.query_photos):
        store, report = extract_folder(extractor, photos, store_path, config=config)
        total.update(report)
    return store, total


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Keep the wall time of what happens inside, by the name of the stage."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


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
        index_kind: The class of the index, such as ``ExactIndex``.
        recall: Of that index at 60 neighbors, against exact search.
        settings: Every configuration that the figures depend on.
        store: Where the features are kept.
    """

    benchmark: Benchmark
    answers: list[Answer]
    scores: dict[str, Scores]
    seconds: dict[str, float]
    report: ExtractionReport
    index_kind: str
    recall: float
    settings: dict[str, Any]
    store: Path

    def summary(self, protocol: str | None = None) -> dict[str, Any]:
        """Return what is worth keeping of a protocol (by default the first), as numbers and words."""
        scores = self.scores[protocol or self.benchmark.default_protocol]
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
            "protocol": protocol or self.benchmark.default_protocol,
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
    index: IndexConfig | None = None,
    search: SearchConfig | None = None,
    pca: PCAConfig | None = None,
) -> Evaluation:
    """Evaluate a folder with one sub-folder a class; see `labeled` and `evaluate_benchmark`.

    Args:
        extractor: Model and selection.
        photos: The folder.
        store_path: Where features are kept: a second run reads them from there.
        queries: Which photos are queries, by a pattern of file names.
        database: Which are the database; the PCA is learned of these.
        index: Which.
        search: How queries are answered.
        pca: How the PCA is learned; ``database`` above says of which photos.

    Raises:
        ValueError: If the folder has no classes, a pattern matches no photo, or no query has anything
            to find.
    """
    evaluation = evaluate_benchmark(
        extractor,
        labeled(photos, queries, database),
        store_path,
        index=index,
        search=search,
        pca=replace(pca or PCAConfig(), database=database),
    )
    evaluation.settings |= {"queries": queries, "database": database}
    return evaluation


def evaluate_benchmark(
    extractor: LocalExtractor,
    benchmark: Benchmark,
    store_path: Path | str,
    *,
    index: IndexConfig | None = None,
    search: SearchConfig | None = None,
    pca: PCAConfig | None = None,
) -> Evaluation:
    """Extract what is missing, search every query, and score the rankings.

    Args:
        extractor: Model and selection.
        benchmark: Photos, queries and truth. What cannot be read is left out, and reported.
        store_path: Where features are kept: a second run reads them from there.
        index: Which.
        search: How queries are answered.
        pca: How the PCA is learned, from the database without its distractors.

    Raises:
        ValueError: If no query has anything to find.
    """
    search, pca = search or SearchConfig(), pca or PCAConfig()
    index = index or IndexConfig()
    ready = prepare(extractor, benchmark, store_path, index=index, search=search, pca=pca)
    answers = _answer(ready.searcher, ready.asked, ready.seconds)
    return Evaluation(
        benchmark=ready.benchmark,
        answers=answers,
        scores=score(ready.benchmark, answers),
        seconds=ready.seconds,
        report=ready.report,
        index_kind=type(ready.searcher.index).__name__,
        recall=ready.recall,
        settings=store_settings(extractor, pca) | {"search": asdict(search), "index": asdict(index)},
        store=Path(store_path),
    )


def score(benchmark: Benchmark, answers: Sequence[Answer]) -> dict[str, Scores]:
    """Score the rankings of a benchmark's queries, by each of its protocols."""
    rankings = [answer.ranking.images for answer in answers[: len(benchmark.queries)]]
    return {
        protocol: _score(benchmark, rankings, truths)
        for protocol, truths in benchmark.truths.items()
    }


def _score(benchmark: Benchmark, rankings: list[np.ndarray], truths: Sequence[Truth]) -> Scores:
    if benchmark.metric == "map_at_100":
        found = dict(enumerate(ranking.tolist() for ranking in rankings))
        return retrieval(found, dict(enumerate(t.positives.tolist() for t in truths)), ks=KS)
    size = len(benchmark.database)
    return evaluate(rankings, truths, ks=[k for k in KS if k <= size], database_size=size)


def _answer(
    searcher: Searcher, asked: Sequence[Features], seconds: dict[str, float]
) -> list[Answer]:
    with timed(seconds, "neighbors"):
        bar = tqdm(asked, desc="neighbors", unit="query", leave=None)
        neighbors = [searcher.neighbors(query) for query in bar]
    with timed(seconds, "vote and verify"):
        pairs = zip(asked, neighbors, strict=True)
        bar = tqdm(pairs, total=len(asked), desc="verify", unit="query", leave=None)
        return [searcher.rank(query, found) for query, found in bar]


Expansion = Literal["local", "average", "alpha"]


@dataclass(frozen=True, kw_only=True)
class CombinedConfig:
    """What is put around the plain search; by default nothing.

    Attributes:
        pooling: How global descriptors are made; None: there are none.
        whitened: Dimensions they are whitened to, where there are photos to learn it of. Not in the paper.
        fuse: Weight of the local score in a fusion (Sec. 5: .25).
        shortlist: Local features verify so many of the most similar photos, not the whole database.
        expand: Ask again: ``"local"`` with the features of verified photos, ``"average"`` and ``"alpha"``
            with their global descriptors; without local features, with those of the most similar photos.
        alpha: Of the weights of the last (Radenovic et al.: 3).
        expansion: Which photos expand a query.
    """

    pooling: GlobalConfig | None = None
    whitened: int = 256
    fuse: float | None = None
    shortlist: int | None = None
    expand: Expansion | None = None
    alpha: float = 3.0
    expansion: ExpansionConfig = field(default_factory=ExpansionConfig)

    def __post_init__(self) -> None:
        needs = [
            self.fuse is not None,
            self.shortlist is not None,
            self.expand in ("average", "alpha"),
        ]
        if any(needs) and self.pooling is None:
            raise ValueError(
                "a fusion, a shortlist and the expansions average and alpha need global descriptors: say which"
            )
        if self.expand == "local" and not self.is_local:
            raise ValueError(
                "the local expansion needs local features: fuse, or ask for a shortlist"
            )
        if self.shortlist is not None and self.shortlist < 1:
            raise ValueError(f"shortlist is {self.shortlist}; expected at least 1 photo")

    @property
    def is_plain(self) -> bool:
        """Whether this is the search of `delfjax.evaluation.benchmark`."""
        return self.pooling is None and self.expand is None

    @property
    def is_local(self) -> bool:
        """Whether local features have a say."""
        return self.pooling is None or self.fuse is not None or self.shortlist is not None

    @property
    def words(self) -> list[str]:
        """What is put around the search, for a table."""
        told = [] if self.pooling is None else [f"global {self.pooling.pooling}"]
        told += [] if self.shortlist is None else [f"shortlist {self.shortlist}"]
        told += [] if self.fuse is None else [f"fused at {self.fuse}"]
        return told + ([] if self.expand is None else [f"{self.expand} expansion"])


def answer_local(searcher: Searcher, query: Features, config: CombinedConfig) -> Answer:
    """Answer by local features alone, with an expanded query if so configured."""
    answer = searcher(query)
    if config.expand == "local":
        answer = searcher(expand(query, answer, searcher.database, config.expansion))
    return answer


def answer_global(
    vector: Float[np.ndarray, " d"], vectors: Float[np.ndarray, "t d"], config: CombinedConfig
) -> Answer:
    """Answer by global descriptors alone, with an expanded query if so configured."""
    answer = by_similarity(vectors @ vector)
    if config.expand is not None:
        best = answer.ranking.images[: config.expansion.photos]
        answer = by_similarity(vectors @ _expanded(vector, vectors[best], config))
    return answer


def answer_both(
    searcher: Searcher,
    query: Features,
    vector: Float[np.ndarray, " d"],
    vectors: Float[np.ndarray, "t d"],
    config: CombinedConfig,
) -> Answer:
    """Answer by local features and global descriptors: by a shortlist, a fusion or both."""
    similarities = vectors @ vector
    images = None
    if config.shortlist is not None:
        images = by_similarity(similarities).ranking.images[: config.shortlist]

    def ask(features: Features) -> Answer:
        return searcher(features) if images is None else searcher.among(features, images)

    answer = ask(query)
    if config.expand == "local":
        answer = ask(expand(query, answer, searcher.database, config.expansion))
    elif config.expand is not None:
        good = trusted(answer, config.expansion)
        similarities = vectors @ _expanded(vector, vectors[good], config)
    if config.fuse is None:
        return followed(answer, similarities)
    return fuse(answer, similarities, weight=config.fuse)


def _expanded(
    vector: Float[np.ndarray, " d"], photos: Float[np.ndarray, "b d"], config: CombinedConfig
) -> Float[np.ndarray, " d"]:
    return average(vector, photos, alpha=config.alpha if config.expand == "alpha" else 0.0)


def evaluate_combined(
    extractor: Extractor,
    benchmark: Benchmark,
    store_path: Path | str,
    vectors_path: Path | str,
    *,
    config: CombinedConfig,
    whiten: PhotoFolder | None = None,
    index: IndexConfig | None = None,
    search: SearchConfig | None = None,
    pca: PCAConfig | None = None,
) -> Evaluation:
    """Evaluate a benchmark as `evaluate_benchmark` does, with what ``config`` puts around the search.

    Args:
        extractor: Model and selection.
        benchmark: Photos, queries and truth.
        store_path: Where local features are kept.
        vectors_path: The file of global descriptors; those of ``whiten`` lie beside it.
        config: What is put around the search.
        whiten: Photos of which the whitening is learned, none of the benchmark's; those that cannot be read
            are left out. None: no whitening.
        index: Of local features.
        search: How local features are searched.
        pca: How their PCA is learned.

    Raises:
        ValueError: If no query has anything to find.
    """
    search, pca = search or SearchConfig(), pca or PCAConfig()
    index = index or IndexConfig()
    seconds: dict[str, float] = {}
    settings = store_settings(extractor, pca) | {"combined": asdict(config)}
    settings["added"] = [*config.words, *([] if whiten is None else ["whitened"])]
    report, vectors, ready = ExtractionReport(), None, None
    if config.pooling is not None:
        with timed(seconds, "extract global"):
            pooler = GlobalExtractor(extractor, config.pooling)
            vectors, report = _vectors(pooler, benchmark, Path(vectors_path))
            if whiten is not None:
                vectors = _whitened(vectors, pooler, whiten, Path(vectors_path), config.whitened)
    if config.is_local:
        how = {"index": index, "search": search, "pca": pca, "report": report}
        ready = prepare(extractor, benchmark, store_path, **how)
        seconds |= ready.seconds
        settings |= {"search": asdict(search), "index": asdict(index)}
    benchmark = answerable(benchmark, report)
    with timed(seconds, "answer"):
        answers = _answers(ready, benchmark, vectors, config)
    return Evaluation(
        benchmark=benchmark,
        answers=answers,
        scores=score(benchmark, answers),
        seconds=seconds,
        report=report,
        index_kind="none" if ready is None else type(ready.searcher.index).__name__,
        recall=1.0 if ready is None else ready.recall,
        settings=settings,
        store=Path(store_path if config.is_local else vectors_path),
    )


def _vectors(pooler: GlobalExtractor, benchmark: Benchmark, path: Path) -> tuple[GlobalDescriptors, ExtractionReport]:
    total = ExtractionReport()
    for photos in (benchmark.base_photos, benchmark.distractor_photos, benchmark.query_photos):
        vectors, report = extract_global_descriptors(pooler, photos, path)
        total.update(report)
    return vectors, total


def _whitened(
    vectors: GlobalDescriptors, pooler: GlobalExtractor, photos: PhotoFolder, path: Path, dimensions: int
) -> GlobalDescriptors:
    # A file for each folder: photos of two may have the same names.
    folder = digest(str(photos.root.resolve()).encode())[:12]
    beside = path.with_stem(f"{path.stem}-whitening-{folder}")
    others, report = extract_global_descriptors(pooler, photos, beside)
    names = [name for name in photos.names if name not in report.failed]
    return whiten_descriptors(vectors, others.select(names), dimensions)


def _answers(
    ready: Ready | None, benchmark: Benchmark, vectors: GlobalDescriptors | None, config: CombinedConfig
) -> list[Answer]:
    if vectors is None:
        bar = tqdm(ready.asked, desc="answer", unit="query", leave=None)
        return [answer_local(ready.searcher, query, config) for query in bar]
    base, asked = (
        vectors.select(names) for names in (benchmark.database, benchmark.query_photos.names)
    )
    if ready is None:
        return [answer_global(vector, base, config) for vector in asked]
    pairs = zip(ready.asked, asked, strict=True)
    bar = tqdm(pairs, total=len(asked), desc="answer", unit="query", leave=None)
    return [answer_both(ready.searcher, query, vector, base, config) for query, vector in bar]
