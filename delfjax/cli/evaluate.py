"""The commands ``delfjax evaluate`` and ``delfjax benchmark``: how good rankings are."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from delfjax import datasets, files
from delfjax.cli.networks import extractor_for, name_of
from delfjax.cli.options import (
    combined_config,
    combined_options,
    index_config,
    index_options,
    json_option,
    model_options,
    pca_config,
    pca_options,
    search_config,
    search_options,
)
from delfjax.cli.output import answer, complain
from delfjax.datasets import rendered
from delfjax.datasets.benchmark import Benchmark
from delfjax.datasets.labeled_folder import LABELED, labeled
from delfjax.datasets.catalog import data_folder
from delfjax.evaluation.benchmark import (
    Evaluation,
    evaluate_benchmark,
    evaluate_combined,
    evaluate_folder,
)
from delfjax.evaluation.html_report import write_page
from delfjax.evaluation.localization import hits_in_store
from delfjax.evaluation.metrics import bootstrap
from delfjax.evaluation.precision_recall import curve_of, pool, precision_at
from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.store import FeatureStore
from delfjax.fingerprint import code_sha256
from delfjax.images.reading import scan

RECALLS = (10, 30, 100, 300, 1000)  # of Fig. 5's axis


def evaluate_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax evaluate`` takes."""
    sub.add_argument("folder", type=Path, metavar="FOLDER")
    sub.add_argument("--queries", default="*", help="file names of the query photos")
    sub.add_argument("--database", default="*", help="file names of the database photos")
    _shared_options(sub)


def benchmark_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax benchmark`` takes."""
    sub.add_argument("name", metavar="NAME", help="such as rendered, or oxford5k+flickr100k")
    sub.add_argument("--root", type=Path, default=data_folder(), help="folder of the data sets")
    words = "file names of the {} photos, where NAME is labeled: ROOT has a sub-folder a class"
    sub.add_argument("--queries", default="*", help=words.format("query"))
    sub.add_argument("--database", default="*", help=words.format("database"))
    _shared_options(sub)
    combined_options(sub)


def _shared_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--store", type=Path, help="where features are kept (default: beside the cache)"
    )
    sub.add_argument("--page", type=Path, help="write a page of ranked results to this .html file")
    model_options(sub)
    pca_options(sub)
    index_options(sub)
    search_options(sub)
    json_option(sub)


def evaluate(options: argparse.Namespace) -> int:
    """Run ``delfjax evaluate``."""
    extractor = extractor_for(options)
    evaluation = evaluate_folder(
        extractor,
        scan(options.folder),
        store_path(options.folder.resolve().name, options.folder, extractor, options),
        queries=options.queries,
        database=options.database,
        index=index_config(options),
        search=search_config(options),
        pca=pca_config(options),
    )
    return _report(evaluation, options)


def benchmark(options: argparse.Namespace) -> int:
    """Run ``delfjax benchmark``."""
    loaded, extractor = load_as_asked(options), extractor_for(options)
    return _report(evaluate_as_asked(options, loaded, extractor), options)


def load_as_asked(options: argparse.Namespace) -> Benchmark:
    """Load the benchmark that the options of ``delfjax benchmark`` name.

    Raises:
        ValueError: If patterns of file names are given for a benchmark that says itself what is asked.
    """
    patterns = options.queries, options.database
    if options.name == LABELED:
        return labeled(scan(options.root), *patterns)
    if patterns != ("*", "*"):
        raise ValueError(f"--queries and --database are for {LABELED}, not {options.name}")
    return datasets.load(options.name, options.root)


def evaluate_as_asked(
    options: argparse.Namespace, loaded: Benchmark, extractor: LocalExtractor
) -> Evaluation:
    """Evaluate a benchmark as the options of ``delfjax benchmark`` say, features from the cache."""
    base = loaded.name.partition("+")[0]  # one store serves a set with and without distractors
    store, config = store_path(base, loaded.root, extractor, options), combined_config(options)
    settings = {
        "index": index_config(options),
        "search": search_config(options),
        "pca": pca_config(options),
    }
    if config.is_plain:
        return evaluate_benchmark(extractor, loaded, store, **settings)
    vectors = _file(base, loaded.root, extractor, asdict(config)["pooling"])
    whiten = options.global_whiten and scan(options.global_whiten)
    return evaluate_combined(
        extractor, loaded, store, vectors, config=config, whiten=whiten, **settings
    )


def result_of(evaluation: Evaluation, options: argparse.Namespace) -> dict[str, Any]:
    """Return what is kept of an evaluation: figures, all they depend on, and the command."""
    result = evaluation.summary()
    result["what"] += f", {name_of(options)}"
    others = list(evaluation.scores)[1:]
    result["other_protocols"] = {p: evaluation.summary(p)["value"] for p in others}
    if evaluation.benchmark.distractor_queries:
        result |= _pooled(evaluation)
    if evaluation.benchmark.name in datasets.RENDERED and "search" in evaluation.settings:
        result |= _on_landmark(evaluation)
    return result | {
        "command": options.typed,
        "code_sha256": code_sha256(),
        "inputs_sha256": inputs_sha256(options),
    }


def inputs_sha256(options: argparse.Namespace) -> dict[str, str]:
    """Return the SHA-256 of the model's file, and of the rendered set's list of checksums.

    Of a labeled folder: of its files' names and sizes.
    """
    files = {"model": options.model, "weights": options.weights}
    name = getattr(options, "name", None)
    if name in datasets.RENDERED:
        files["landmarks"] = rendered.find_folder(options.root) / "SHA256SUMS"
    found = {what: path.read_bytes() for what, path in files.items() if path}
    if name == LABELED:
        photos = scan(options.root)
        sizes = [f"{photo} {photos.path(photo).stat().st_size}" for photo in photos.names]
        found["photos"] = "\n".join(sizes).encode()
    return {what: files.digest(content) for what, content in found.items()}


def _report(evaluation: Evaluation, options: argparse.Namespace) -> int:
    """Print what a benchmark's rankings are worth, and write the page that was asked for."""
    if options.page:
        write_page(evaluation, evaluation.benchmark.query_photos.load, options.page)
    result = result_of(evaluation, options)
    answer(options, result, _words(evaluation, result))
    return complain(evaluation.report)


def _words(evaluation: Evaluation, result: dict[str, Any]) -> str:
    lines = []
    for protocol in evaluation.scores:
        scored = evaluation.summary(protocol)
        low, high = scored["interval"]
        lines += [
            f"protocol    {protocol}",
            f"mAP         {scored['value']:.1f}  (95% of bootstrap over queries: {low:.1f} to {high:.1f})",
            *(f"P@{k:<2}        {value:.1f}" for k, value in scored["precision_at"].items()),
        ]
    lines += [
        f"precision   {value:.1f} when {recall} right results are found (Eq. 4)"
        for recall, value in result.get("precision_at_recall", {}).items()
    ]
    lines += [
        f"queries     {result['queries']}, database {result['database']} photos",
        f"index       {evaluation.index_kind}, recall@60 {evaluation.recall:.3f}",
        *(f"{stage:16}{value:8.1f} s" for stage, value in evaluation.seconds.items()),
        f"store       {evaluation.store}",
    ]
    if "on_landmark" in result:
        lines.append(f"on it       {result['on_landmark']['value']} % of the best 100 keypoints")
    return "\n".join(lines)


def _pooled(evaluation: Evaluation) -> dict[str, Any]:
    """Return the precision over all queries, distractor queries too: for some recalls, and as a curve."""
    pooled, benchmark = pool(evaluation), evaluation.benchmark
    recalls = [recall for recall in RECALLS if recall <= pooled.correct.sum()]
    positives = sum(len(truth.positives) for truth in benchmark.truths[benchmark.default_protocol])
    return {
        "precision_at_recall": {
            str(recall): round(100 * precision_at(pooled, recall), 2) for recall in recalls
        },
        "curve": curve_of(pooled, positives=positives, queries=len(evaluation.answers)),
    }


def _on_landmark(evaluation: Evaluation) -> dict[str, Any]:
    """Return how many of the best 100 keypoints are on the landmark, in percent, with an interval.

    By query, of the whole photo that it is cut from. Nothing where photos have fewer keypoints.
    """
    benchmark = evaluation.benchmark
    truths = rendered.annotations(benchmark.root.parent)
    hits = hits_in_store(FeatureStore(evaluation.store), truths, [100])
    shares = {photo: 100 * float(share) for photo, (share,) in hits.items()}
    if np.isnan([*shares.values()]).all():
        return {}
    interval = bootstrap(np.array([*shares.values()]), seed=0)
    chance = 100 * float(np.mean([truths[photo].area_fraction for photo in shares]))
    precisions = 100 * evaluation.scores[benchmark.default_protocol].average_precision
    asked = [truths[query.photo].landmark for query in benchmark.queries]
    found = {
        "value": round(float(np.nanmean([*shares.values()])), 1),
        "interval": [round(edge, 1) for edge in interval],
        "chance": round(chance, 1),
        "photos": len(shares),
        "by_landmark": _means((truths[photo].landmark, share) for photo, share in shares.items()),
        "average_precision": _means(zip(asked, precisions.tolist(), strict=True)),
        "by_query": [_rounded(shares[query.photo]) for query in benchmark.queries],
    }
    return {"on_landmark": found}


def _rounded(share: float) -> float | None:
    """Return no number for a photo that has fewer keypoints."""
    return None if np.isnan(share) else round(share, 1)


def _means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Average what belongs to one name."""
    groups: dict[str, list[float]] = {}
    for name, value in values:
        groups.setdefault(name, []).append(value)
    return {name: round(float(np.nanmean(group)), 1) for name, group in groups.items()}


def store_path(
    name: str, photos: Path, extractor: LocalExtractor, options: argparse.Namespace
) -> Path:
    """Return the store that was asked for, or one named after all that its features depend on."""
    settings = asdict(extractor.config), asdict(pca_config(options))
    return options.store or _named(name, photos, *settings, extractor.checksum)


def _file(name: str, photos: Path, extractor: LocalExtractor, pooling: dict | None) -> Path:
    """Return the file of global descriptors, named after all that they depend on."""
    kind = f"{name}-{pooling['pooling']}" if pooling else name
    return _named(kind, photos, pooling, extractor.checksum).with_suffix(".safetensors")


def _named(name: str, photos: Path, *settings: object) -> Path:
    words = json.dumps([name, str(photos.resolve()), *settings])
    return files.cache_folder() / "stores" / f"{name}-{files.digest(words.encode())[:12]}"
