"""Evaluate a model on a benchmark, from Oxford5k to a folder of labeled photos (Sec. 5).

`evaluate` extracts features, builds an index, searches for every query, and scores the rankings.

Photos with equal scores are ranked in the order of the database that is searched. In a benchmark,
photos of landmarks come first and distractors come last, so this order would favor correct photos.
Therefore, `evaluate` searches the database in the order of a hash of the photo names.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from delfjax.datasets import rendered
from delfjax.datasets.benchmark import Benchmark
from delfjax.evaluation.config import RunConfig
from delfjax.evaluation.metrics import Scores, score_rankings
from delfjax.evaluation.rank_queries import rank_queries
from delfjax.evaluation.significance import bootstrap_interval
from delfjax.features.extract_folder import LocalExtractor, extract_folder
from delfjax.features.extraction import Extractor
from delfjax.features.factory import model_sha256
from delfjax.features.global_descriptors import (
    GlobalConfig,
    GlobalExtractor,
    extract_global_descriptors,
    fit_whitening,
)
from delfjax.features.store import ExtractionReport
from delfjax.files import cache_folder, digest
from delfjax.images.folder import PhotoFolder, scan
from delfjax.provenance import FEATURES, PROTOCOL, config_to_dict, describe
from delfjax.ranges import ConfigError, check_dimensions
from delfjax.search.index import IndexConfig, build_index
from delfjax.search.searcher import Searcher, SearchResult
from delfjax.types import Features

CUTOFFS = (1, 5, 10)  # numbers of first results over which precision is reported


@dataclass(kw_only=True, eq=False)
class Evaluation:
    """Search results and scores of a model on a benchmark.

    Attributes:
        benchmark: The benchmark without the photos that could not be read.
        results: Search result of each query, then of each distractor query (no correct photo).
        scores: Metrics of each query, by protocol (rule for which photos are correct).
        seconds: Wall time of each stage in seconds.
        report: Names of extracted and stored photos, and errors of unreadable photos.
        index_kind: Kind of the index, such as ``"exact"``. ``"none"`` without local features.
        recall: Fraction of the true 60 nearest neighbors that the index finds, 0 to 1. It
            always uses 60 neighbors, whatever number of neighbors the configuration sets. 1 for
            exact search and without an index.
        config: Configuration of the evaluation. Defaults that depend on the model are filled in.
        inputs: Checksums of the ``"model"`` (SHA-256 of its file; without a file, the checksum of
            the extractor) and of the ``"photos"`` (SHA-256).
        store: Folder of the local features. Without local features: folder of the global descriptors.
    """

    benchmark: Benchmark
    results: list[SearchResult]
    scores: dict[str, Scores]
    seconds: dict[str, float]
    report: ExtractionReport
    index_kind: str
    recall: float
    config: RunConfig
    inputs: dict[str, str]
    store: Path

    @property
    def mean_average_precision(self) -> float:
        """Mean average precision (mAP) over queries under the default protocol, 0 to 1."""
        return self.scores[self.benchmark.default_protocol].mean_average_precision

    def summary(self, protocol: str | None = None) -> dict[str, Any]:
        """Return the scores under one protocol as a dict that can be saved as JSON.

        ``protocol=None`` is the default protocol of the benchmark. Scores are in percent. mAP has a
        95% interval over landmarks; see `delfjax.evaluation.significance`. ``"landmarks"`` numbers the
        landmark of each query. The dict also holds settings, checksums and versions.
        """
        protocol = protocol or self.benchmark.default_protocol
        scores = self.scores[protocol]
        landmarks = self.benchmark.landmarks
        low, high = bootstrap_interval(scores.average_precision, groups=landmarks)
        return {
            "value": round(100 * scores.mean_average_precision, 2),
            "interval": [round(100 * max(low, 0), 2), round(100 * min(high, 1), 2)],
            "precision_at": {
                str(k): round(100 * float(value), 2)
                for k, value in zip(scores.ks, scores.mean_precision_at, strict=True)
            },
            "what": self._title(),
            "benchmark": self.benchmark.name,
            "protocol": protocol,
            "average_precision": [
                None if np.isnan(value) else round(100 * value, 2)  # NaN: no correct photo
                for value in scores.average_precision.tolist()
            ],
            "queries": len(self.benchmark.queries),
            "landmarks": landmarks,
            "database": len(self.benchmark.database),
            "index": {"kind": self.index_kind, "recall_at_60": round(self.recall, 4)},
            "failed": {name: str(error) for name, error in self.report.failed.items()},
            "seconds": {stage: round(value, 2) for stage, value in self.seconds.items()},
            "inputs_sha256": self.inputs,
            "protocol_version": PROTOCOL,
            **describe(self.config.to_dict()),
        }

    def _title(self) -> str:
        config, parts = self.config, ["mAP", self.benchmark.name]
        if config.uses_local_features:
            count = config.search.features or config.extraction.max_features
            parts.append(f"{count} features by {config.extraction.selection or 'response'}")
            parts += [f"{config.search.truncate} dimensions"] if config.search.truncate else []
        return ", ".join([*parts, *config.optional_methods, Path(config.model).stem])


def evaluate(
    model: LocalExtractor,
    benchmark: Benchmark,
    config: RunConfig | None = None,
    *,
    store: Path | str | None = None,
) -> Evaluation:
    """Evaluate a model on a benchmark: search for every query and score the rankings.

    Args:
        model: Model that extracts local features, as ``delfjax.load`` returns it.
        benchmark: Photos, queries and ground truth, as `delfjax.datasets.load` returns them. Photos
            that cannot be read are left out and listed in `Evaluation.report`.
        config: Settings of all stages. ``config.extraction`` replaces the extraction settings of
            the model. None: a default `RunConfig` with the extraction settings of the model, except
            for ``min_contrast``, which is 0.
        store: Folder for the local features. Features in this folder are not extracted again. None:
            a folder in the cache that is used only for these photos, this model and these settings.

    Raises:
        ConfigError: If settings do not fit each other or the model.
        ValueError: If no query has a correct photo that can be read.
        PhotoError: If none of the photos for the PCA can be read.
        StoreError: If ``store`` holds features of another model or configuration.
    """
    model, config, checksum = _resolve(model, config)
    config.check(model.dimensions)
    inputs = {"model": checksum, "photos": benchmark.photos_sha256}
    seconds: dict[str, float] = {}
    report, recall = ExtractionReport(), 1.0
    _readable(benchmark, report)  # before the extraction
    searcher: Searcher | None = None
    queries: list[Features] = []
    global_vectors: Callable[[Sequence[str]], Float[np.ndarray, "b d"]] | None = None
    vectors: tuple[Float[np.ndarray, "q d"], Float[np.ndarray, "p d"]] | None = None
    if config.global_descriptor is not None:
        path = _cache_path(benchmark, inputs, asdict(config.global_descriptor))
        with _timed(seconds, "extract global"):
            global_vectors = _global_descriptors(
                model, config.global_descriptor, benchmark, path, config, report
            )
    if config.uses_local_features:
        settings = config_to_dict(model.config), config_to_dict(config.pca)
        path = Path(store or _cache_path(benchmark, inputs, *settings))
        with _timed(seconds, "extract"):
            for photos in _parts(benchmark):
                features = extract_folder(model, photos, path, config=config.pca)
                report.update(features.report)
    benchmark = _readable(benchmark, report)
    order = _search_order(benchmark)
    names, searched = benchmark.query_photos.names, [benchmark.database[n] for n in order]
    if global_vectors is not None:
        with _timed(seconds, "load global"):
            vectors = global_vectors(names), global_vectors(searched)
    if config.uses_local_features:
        with _timed(seconds, "load"):
            database = config.search.load_database(features, searched)
            queries = [config.search.limit_features(features.read(name)) for name in names]
        with _timed(seconds, "build index"):
            # With a shortlist, each query searches few photos; an index over all of them would be unused.
            index = config.index if config.shortlist is None else IndexConfig(kind="exact")
            searcher = Searcher(database, index, config.search)
        with _timed(seconds, "measure recall"):
            if searcher.index.kind != "exact":
                recall = searcher.index.recall(
                    np.concatenate([query.descriptors for query in queries]),
                    sample=1000,
                    exact=build_index(database.descriptors, "exact"),
                )
    with _timed(seconds, "search"):
        found = rank_queries(config, searcher, queries, vectors)
        results = [result.renumber(order) for result in found]
    return Evaluation(
        benchmark=benchmark,
        results=results,
        scores=score(benchmark, results),
        seconds=seconds,
        report=report,
        index_kind="none" if searcher is None else searcher.index.kind,
        recall=recall,
        config=config,
        inputs=inputs,
        store=path,
    )


def score(benchmark: Benchmark, results: Sequence[SearchResult]) -> dict[str, Scores]:
    """Score the ranking of each query, without distractor queries, under each protocol."""
    rankings = [result.ranking.images for result in results[: len(benchmark.queries)]]
    size, metric = len(benchmark.database), benchmark.metric
    ks = [k for k in CUTOFFS if k <= size]
    return {
        protocol: score_rankings(rankings, truths, ks=ks, database_size=size, metric=metric)
        for protocol, truths in benchmark.truths.items()
    }


def _search_order(benchmark: Benchmark) -> Int[np.ndarray, " p"]:
    """Return the indices of the photos in the order in which they are searched."""
    return np.argsort([digest(name) for name in benchmark.database])


def _resolve(
    model: LocalExtractor, config: RunConfig | None
) -> tuple[LocalExtractor, RunConfig, str]:
    """Apply a configuration to a model. Return both, with every default set, and the checksum."""
    if config is None:
        # As in the official code, `RunConfig` keeps features without content.
        config = RunConfig(extraction=replace(model.config, min_contrast=None))
    model = model.with_config(config.extraction)
    checksum = model.checksum
    if Path(config.model).stem == model.name:
        checksum = model_sha256(config.model) or checksum
    else:  # the given model has another name than that of the configuration: record the given one
        config = replace(config, model=model.name)
    return model, replace(config, extraction=model.config), checksum


def _readable(benchmark: Benchmark, report: ExtractionReport) -> Benchmark:
    """Leave out the photos that could not be read. Raise an error if no query has a correct one."""
    benchmark = benchmark.drop_photos(report.failed)
    if not any(len(t.positives) for truths in benchmark.truths.values() for t in truths):
        raise ValueError(
            f"{benchmark.root}: no query has a correct database photo that is readable. Fix: check "
            "that the photos are valid images, and that at least one class has a query photo and another "
            "photo in the database"
        )
    return benchmark


def _parts(benchmark: Benchmark) -> tuple[PhotoFolder, ...]:
    """Return the photos in the order of their extraction. The PCA is fitted to the first part."""
    return benchmark.base_photos, benchmark.distractor_photos, benchmark.query_photos


def _global_descriptors(
    model: LocalExtractor,
    settings: GlobalConfig,
    benchmark: Benchmark,
    path: Path,
    config: RunConfig,
    report: ExtractionReport,
) -> Callable[[Sequence[str]], Float[np.ndarray, "b d"]]:
    """Extract global descriptors. Return a function from names of photos to their vectors."""
    assert isinstance(model, Extractor)  # a `RunConfig` refuses handcrafted features
    whitening = None
    if config.whitening is not None:
        channels = model.spec.channels  # global descriptors do not use the projection of a model
        check_dimensions("whitening_dimensions", config.whitening_dimensions, channels)
        whitening = scan(
            rendered.ROOT / "train" if config.whitening == "rendered_train" else config.whitening
        )
        if len(whitening) < config.whitening_dimensions:
            raise ConfigError(
                f"{whitening.root}: {len(whitening)} photos; expected at least {config.whitening_dimensions}, one "
                "per dimension after the whitening. Fix: use more photos, or reduce "
                "whitening_dimensions (--global-dimensions)"
            )
    extractor = GlobalExtractor(model, settings)
    for photos in _parts(benchmark):
        store = extract_global_descriptors(extractor, photos, path)
        report.update(store.report)
    if whitening is None:
        return lambda names: store.gather(names).descriptors
    # One store for each folder: photos of two folders may have the same names.
    key = digest(str(whitening.root.resolve()))[:12]
    other = path.with_name(f"{path.name}-whitening-{key}")
    pca, failed = fit_whitening(extractor, whitening, other, dimensions=config.whitening_dimensions)
    report.failed.update({str(whitening.path(name)): error for name, error in failed.items()})
    return lambda names: pca(store.gather(names).descriptors)


def _cache_path(benchmark: Benchmark, inputs: dict[str, str], *settings: object) -> Path:
    """Return the path of cached features. Its name is a checksum of all that they depend on.

    A benchmark has the same path with and without distractors.
    """
    base = benchmark.name.partition("+")[0]
    key = json.dumps([base, str(benchmark.root.resolve()), inputs, FEATURES, *settings])
    return cache_folder() / "stores" / f"{base}-{digest(key)[:12]}"


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall time of a stage to ``seconds``."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
