"""The command line: what runs long, or in scripts. A thin layer over the library.

Results go to standard output, progress and complaints to standard error.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm.auto import tqdm

import delfjax
from delfjax import datasets, plots, results, weights
from delfjax.attention import Attention
from delfjax.backbone import ResNet
from delfjax.collection import Report, extract_folder
from delfjax.conversion import WeightsError
from delfjax.datasets.command import data, data_options
from delfjax.datasets.publishers import data_folder
from delfjax.evaluation import Evaluation, evaluate_benchmark, evaluate_folder
from delfjax.extraction import ExtractionConfig, Extractor
from delfjax.index import PAPER_NEIGHBOURS, build_index
from delfjax.options import (
    index_option,
    json_option,
    model_options,
    ransac_config,
    ransac_options,
    reduction_config,
    reduction_options,
    search_config,
    search_options,
    trained_options,
)
from delfjax.pages import write_page
from delfjax.photos import PhotoError, load_photo, scan
from delfjax.pooled import pool, precision_at
from delfjax.pyramid import PyramidConfig
from delfjax.resnet import SPECS
from delfjax.search import Database, Searcher, match, reduce_pair
from delfjax.store import FeatureStore, StoreError
from delfjax.train_command import MODEL, train, train_options

OK, FAILED, SOME_FAILED = 0, 1, 3  # argparse itself exits with 2
RECALLS = (10, 30, 100, 300, 1000)  # of Fig. 5's axis
INTERRUPTED = 130  # as shells report it
EXITS = (
    "exit codes: 0 all well; 1 failed, the reason on standard error; 2 wrong usage; "
    "3 finished, but some photos could not be read (listed on standard error); 130 interrupted"
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(arguments)
    options.typed = " ".join(["delfjax", *(sys.argv[1:] if arguments is None else arguments)])
    # A process of its own for every command: without this each would compile anew.
    jax.config.update("jax_compilation_cache_dir", str(weights.cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    try:
        code = options.run(options)
        sys.stdout.flush()  # so that a closed pipe shows here, and not as Python exits
        return code
    except KeyboardInterrupt:
        print(f"delfjax {options.command}: interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough, as `head` does: no complaint. What is left in the buffer goes
        # nowhere, as the documentation of Python's signal module has it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (PhotoError, StoreError, WeightsError, ValueError, OSError, ImportError) as error:
        print(f"delfjax {options.command}: {error}", file=sys.stderr)
        return FAILED


def parser() -> argparse.ArgumentParser:
    """Describe every command and option."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    top = argparse.ArgumentParser(
        prog="delfjax", description=delfjax.__doc__, epilog=EXITS, formatter_class=formatter
    )
    top.add_argument("--version", action="version", version=f"delfjax {delfjax.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            run.__name__.strip("_"),
            help=summary,
            description=summary,
            epilog=EXITS,
            formatter_class=formatter,
        )
        sub.set_defaults(run=run)
        return sub

    sub = command(_match, "match two photos: putative matches, inliers, and the affine map")
    sub.add_argument("photos", nargs=2, type=Path, metavar="PHOTO")
    sub.add_argument("--store", type=Path, help="use this store's PCA; else one of the two photos")
    sub.add_argument("--max-distance", type=float, default=0.8, help="between descriptors, 0 to 2")
    sub.add_argument(
        "--figure", type=Path, help="draw the inliers into this file (.png, .pdf, ...)"
    )
    model_options(sub)
    ransac_options(sub)
    json_option(sub)

    sub = command(
        _extract, "extract the features of a folder into a store; resumes, skips bad photos"
    )
    sub.add_argument("folder", type=Path, metavar="FOLDER")
    sub.add_argument("store", type=Path, metavar="STORE")
    sub.add_argument(
        "--database", default="*", help="file names of the photos that the PCA learns of"
    )
    model_options(sub)
    reduction_options(sub)

    sub = command(_index, "build an index over a store; report its cost and its recall")
    sub.add_argument("store", type=Path, metavar="STORE")
    index_option(sub)
    json_option(sub)

    sub = command(_search, "rank the photos of a store for one query photo")
    sub.add_argument("store", type=Path, metavar="STORE")
    sub.add_argument("photo", type=Path, metavar="PHOTO")
    sub.add_argument("--top", type=int, default=10, help="results to print")
    trained_options(sub)
    index_option(sub)
    search_options(sub)
    json_option(sub)

    sub = command(_evaluate, "mAP over a folder with one sub-folder a class, times, index recall")
    sub.add_argument("folder", type=Path, metavar="FOLDER")
    sub.add_argument("--queries", default="*", help="file names of the query photos")
    sub.add_argument("--database", default="*", help="file names of the database photos")
    _evaluation_options(sub)

    sub = command(
        _benchmark, "mAP of a benchmark, by each of its protocols; `data list` names them"
    )
    sub.add_argument("name", metavar="NAME", help="such as rendered, or oxford5k+flickr100k")
    sub.add_argument("--root", type=Path, default=data_folder(), help="folder of the data sets")
    _evaluation_options(sub)

    data_options(command(data, "list the benchmarks' data sets, or fetch them"))

    train_options(command(_train, "train descriptors or attention; goes on where it stopped"))

    sub = command(_table, "print the table of results")
    sub.add_argument("--results", type=Path, default=Path("data/results"), metavar="FOLDER")
    sub.add_argument("--page", type=Path, help="put the table into this page, between its marks")
    return top


def _evaluation_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--store", type=Path, help="where features are kept (default: beside the cache)"
    )
    sub.add_argument("--page", type=Path, help="write a page of ranked results to this .html file")
    model_options(sub)
    reduction_options(sub)
    index_option(sub)
    search_options(sub)
    json_option(sub)


# --- what commands share ----------------------------------------------------------------------------


def _extractor(options: argparse.Namespace) -> Extractor:
    backbone, attention = _network(options, options.backbone)
    config = ExtractionConfig(
        pyramid=PyramidConfig(longest=options.longest),
        selection=options.selection or ("attention" if attention else "norm"),
        max_features=options.max_features,
        nms_iou=options.nms_iou,
    )
    return Extractor(backbone, attention, config)


def _network(options: argparse.Namespace, name: str) -> tuple[ResNet, Attention | None]:
    """Load the model that was asked for, or ImageNet's weights, which have no attention."""
    if options.model is None:
        return weights.load(SPECS[name], file=options.weights), None
    from delfjax import checkpoints  # Orbax with it, which the other commands need not wait for

    return checkpoints.load(options.model)


def _filled(path: Path) -> FeatureStore:
    """Open a store to read from."""
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: holds no features yet; run: extract FOLDER {path}")
    return store


def _extractor_of(store: FeatureStore, options: argparse.Namespace) -> Extractor:
    """Make the extractor that a store was filled with."""
    made_by = store.made_by
    network = _network(options, made_by["backbone"])
    config = ExtractionConfig.from_dict(made_by["extraction"])
    if config.selection == "attention" and network[1] is None:
        raise StoreError(f"{store.path}: filled by a trained model; pass it with --model FILE")
    extractor = Extractor(*network, config)
    if extractor.checksum != made_by["model"]:
        raise StoreError(
            f"{store.path}: filled by other weights; pass the same with --weights or --model FILE"
        )
    return extractor


def _answer(options: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Print a result for people, or write it as JSON."""
    if str(options.json) == "-":
        print(results.to_json(result))
        return
    print(text)
    if options.json:
        results.write(options.json, result)


def _complain(report: Report) -> int:
    if not report.failed:
        return OK
    print(f"{len(report.failed)} photos could not be read:", file=sys.stderr)
    for error in report.failed.values():
        print(f"  {error}", file=sys.stderr)
    return SOME_FAILED


# --- commands --------------------------------------------------------------------------------------


def _match(options: argparse.Namespace) -> int:
    photos = [load_photo(path) for path in options.photos]
    if options.store:
        store = _filled(options.store)
        extractor, reduction = _extractor_of(store, options), store.reduction
    else:
        extractor, reduction = _extractor(options), None
    raw = [extractor(photo) for photo in tqdm(photos, desc="extract", unit="photo")]
    left, right = reduce_pair(*raw, reduction)
    ransac = ransac_config(options)
    putative, verification = match(left, right, max_distance=options.max_distance, ransac=ransac)
    if options.figure:
        title = f"{verification.count} inliers of {len(putative)} matches"
        drawn = plots.matches(*photos, putative, verification.inliers, title=title)
        drawn.save(options.figure)
    result = {
        "photos": [str(path) for path in options.photos],
        "features": [len(left), len(right)],
        "matches": len(putative),
        "inliers": verification.count,
        "affine": verification.affine.tolist() if verification.count else None,
        "config": {
            "extraction": asdict(extractor.config),
            "max_distance": options.max_distance,
            "ransac": asdict(ransac),
        },
        "versions": results.versions(),
    }
    rows = np.array2string(verification.affine, precision=4, suppress_small=True)
    text = (
        f"features  {len(left)} and {len(right)}\nmatches   {len(putative)}\n"
        f"inliers   {verification.count}\naffine    (y, x, 1) of the first photo to the second's\n{rows}"
    )
    _answer(options, result, text)
    return OK


def _extract(options: argparse.Namespace) -> int:
    photos = scan(options.folder)
    store, report = extract_folder(
        _extractor(options),
        photos,
        options.store,
        config=reduction_config(options),
    )
    print(
        f"{store.path}: {len(report.extracted)} photos extracted, {len(report.kept)} there before, "
        f"{len(report.failed)} failed"
    )
    return _complain(report)


def _index(options: argparse.Namespace) -> int:
    database = Database.load(_filled(options.store))
    start = time.perf_counter()
    index = build_index(database.descriptors, options.index)
    built = time.perf_counter() - start
    k = min(PAPER_NEIGHBOURS, len(database.descriptors))
    result = {
        "kind": type(index).__name__,
        "photos": len(database),
        "descriptors": len(database.descriptors),
        "build_seconds": round(built, 2),
        f"recall_at_{k}": round(index.recall(database.descriptors, k), 4),
        "versions": results.versions(),
        "hardware": results.hardware(),
    }
    _answer(options, result, "\n".join(f"{key:16} {value}" for key, value in result.items()))
    return OK


def _search(options: argparse.Namespace) -> int:
    store = _filled(options.store)
    query = _extractor_of(store, options)(load_photo(options.photo))
    query = query.with_descriptors(store.reduction(query.descriptors))
    database = Database.load(store)
    index = build_index(database.descriptors, options.index)
    ranking = Searcher(database, index, search_config(options))(query).ranking
    top = list(zip(ranking.images, ranking.inliers, ranking.votes, strict=True))[: options.top]
    found = [
        {"photo": database.names[image], "inliers": int(inliers), "votes": int(votes)}
        for image, inliers, votes in top
    ]
    lines = [f"{row['inliers']:7} {row['votes']:5}  {row['photo']}" for row in found]
    _answer(
        options,
        {"query": str(options.photo), "results": found},
        "\n".join(["inliers votes  photo", *lines]),
    )
    return OK


def _evaluate(options: argparse.Namespace) -> int:
    extractor = _extractor(options)
    evaluation = evaluate_folder(
        extractor,
        scan(options.folder),
        _store(options.folder.resolve().name, options.folder, extractor, options),
        queries=options.queries,
        database=options.database,
        index=options.index,
        search=search_config(options),
        reduction=reduction_config(options),
    )
    return _report(evaluation, options)


def _benchmark(options: argparse.Namespace) -> int:
    benchmark, extractor = datasets.load(options.name, options.root), _extractor(options)
    base = benchmark.name.partition("+")[0]  # one store serves a set with and without distractors
    evaluation = evaluate_benchmark(
        extractor,
        benchmark,
        _store(base, benchmark.root, extractor, options),
        index=options.index,
        search=search_config(options),
        reduction=reduction_config(options),
    )
    return _report(evaluation, options)


def _report(evaluation: Evaluation, options: argparse.Namespace) -> int:
    """Print what a benchmark's rankings are worth, and write the page that was asked for."""
    if options.page:
        write_page(evaluation, evaluation.benchmark.query_photos.load, options.page)
    summary = evaluation.summary()
    lines = []
    for protocol in evaluation.scores:
        scored = evaluation.summary(protocol)
        low, high = scored["interval"]
        lines += [
            f"protocol    {protocol}",
            f"mAP         {scored['value']:.1f}  (95% of bootstrap over queries: {low:.1f} to {high:.1f})",
            *(f"P@{k:<2}        {value:.1f}" for k, value in scored["precision_at"].items()),
        ]
    if evaluation.benchmark.strangers:
        summary["precision_at_recall"] = _precision_at_recall(evaluation)
        lines += [
            f"precision   {value:.1f} when {recall} right results are found (Eq. 4)"
            for recall, value in summary["precision_at_recall"].items()
        ]
    lines += [
        f"queries     {summary['queries']}, database {summary['database']} photos",
        f"index       {evaluation.index_kind}, recall@60 {evaluation.recall:.3f}",
        *(f"{stage:16}{value:8.1f} s" for stage, value in evaluation.seconds.items()),
        f"store       {evaluation.store}",
    ]
    others = {p: evaluation.summary(p)["value"] for p in list(evaluation.scores)[1:]}
    told = {"other_protocols": others, "command": options.typed}
    _answer(options, summary | told, "\n".join(lines))
    return _complain(evaluation.report)


def _precision_at_recall(evaluation: Evaluation) -> dict[str, float]:
    """Return the precision over all queries, distractor queries too, for some numbers of right results."""
    pooled = pool(evaluation)
    found = int(pooled.correct.sum())
    recalls = [recall for recall in RECALLS if recall <= found]
    return {str(recall): round(100 * precision_at(pooled, recall), 2) for recall in recalls}


def _store(name: str, photos: Path, extractor: Extractor, options: argparse.Namespace) -> Path:
    """Return the store that was asked for, or one named after all that its features depend on."""
    settings = json.dumps(
        [
            name,
            str(photos.resolve()),
            asdict(extractor.config),
            asdict(reduction_config(options)),
            extractor.checksum,
        ]
    )
    folder = f"{name}-{weights.digest(settings.encode())[:12]}"
    return options.store or weights.cache_folder() / "stores" / folder


def _train(options: argparse.Namespace) -> int:
    trained = train(options)
    print(f"{options.out / MODEL}: step {trained.step} of {trained.config.optimiser.steps}")
    for name, value in trained.validated.items():
        print(f"{name.replace('_', ' '):32}{value:.3f}")
    return _complain(Report(failed=trained.failed))


def _table(options: argparse.Namespace) -> int:
    shown = results.table(options.results)
    if options.page:
        results.show_in(options.page, shown)
    print(shown)
    return OK
