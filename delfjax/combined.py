"""The plain search and what is put around it, on a benchmark: expansion, global descriptors, fusion.

The steps are pure functions of modules of their own; here is only their order. With global descriptors
alone, the ranking is by similarity; with a shortlist, local features verify the most similar photos
only; with a weight, both scores are fused (Sec. 5); and each may be asked again with an expanded query.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.axes import Features
from delfjax.collection import ReductionConfig, Report, made_by
from delfjax.datasets.benchmark import Benchmark
from delfjax.evaluation import Evaluation, score
from delfjax.expansion import ExpansionConfig, average, expand, trusted
from delfjax.extraction import Extractor
from delfjax.fusion import by_similarity, followed, fuse
from delfjax.global_descriptors import (
    GlobalConfig,
    GlobalExtractor,
    Vectors,
    extract_vectors,
    whitened,
)
from delfjax.index_config import IndexConfig
from delfjax.photos import PhotoFolder
from delfjax.preparation import Ready, answerable, prepare, timed
from delfjax.search import Answer, SearchConfig, Searcher
from delfjax.weights import digest

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
        """Whether this is the search of `delfjax.evaluation`."""
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
    reduction: ReductionConfig | None = None,
) -> Evaluation:
    """Evaluate a benchmark as `evaluate_benchmark` does, with what ``config`` puts around the search.

    Args:
        extractor: Model and selection.
        benchmark: Photos, queries and truth.
        store_path: Where local features are kept.
        vectors_path: The file of global descriptors; those of ``whiten`` lie beside it.
        config: What is put around the search.
        whiten: Photos of which the whitening is learnt, none of the benchmark's; those that cannot be read
            are left out. None: no whitening.
        index: Of local features.
        search: How local features are searched.
        reduction: How their PCA is learnt.

    Raises:
        ValueError: If no query has anything to find.
    """
    search, reduction = search or SearchConfig(), reduction or ReductionConfig()
    index = index or IndexConfig()
    seconds: dict[str, float] = {}
    settings = made_by(extractor, reduction) | {"combined": asdict(config)}
    settings["added"] = [*config.words, *([] if whiten is None else ["whitened"])]
    report, vectors, ready = Report(), None, None
    if config.pooling is not None:
        with timed(seconds, "extract global"):
            pooler = GlobalExtractor(extractor, config.pooling)
            vectors, report = _vectors(pooler, benchmark, Path(vectors_path))
            if whiten is not None:
                vectors = _whitened(vectors, pooler, whiten, Path(vectors_path), config.whitened)
    if config.is_local:
        how = {"index": index, "search": search, "reduction": reduction, "report": report}
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


def _vectors(pooler: GlobalExtractor, benchmark: Benchmark, path: Path) -> tuple[Vectors, Report]:
    total = Report()
    for photos in (benchmark.base_photos, benchmark.distractor_photos, benchmark.query_photos):
        vectors, report = extract_vectors(pooler, photos, path)
        total.add(report)
    return vectors, total


def _whitened(
    vectors: Vectors, pooler: GlobalExtractor, photos: PhotoFolder, path: Path, dimensions: int
) -> Vectors:
    # A file for each folder: photos of two may have the same names.
    folder = digest(str(photos.root.resolve()).encode())[:12]
    beside = path.with_stem(f"{path.stem}-whitening-{folder}")
    others, report = extract_vectors(pooler, photos, beside)
    names = [name for name in photos.names if name not in report.failed]
    return whitened(vectors, others.of(names), dimensions)


def _answers(
    ready: Ready | None, benchmark: Benchmark, vectors: Vectors | None, config: CombinedConfig
) -> list[Answer]:
    if vectors is None:
        bar = tqdm(ready.asked, desc="answer", unit="query", leave=None)
        return [answer_local(ready.searcher, query, config) for query in bar]
    base, asked = (
        vectors.of(names) for names in (benchmark.database, benchmark.query_photos.names)
    )
    if ready is None:
        return [answer_global(vector, base, config) for vector in asked]
    pairs = zip(ready.asked, asked, strict=True)
    bar = tqdm(pairs, total=len(asked), desc="answer", unit="query", leave=None)
    return [answer_both(ready.searcher, query, vector, base, config) for query, vector in bar]
