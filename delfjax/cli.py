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
from delfjax import plots, results, weights
from delfjax.backbone import RESNET50_V1, RESNET50_V15, SPECS
from delfjax.collection import ReductionConfig, Report, extract_folder
from delfjax.evaluation import evaluate_folder
from delfjax.extraction import ExtractionConfig, Extractor
from delfjax.geometry import RansacConfig
from delfjax.index import PAPER_NEIGHBOURS, build_index
from delfjax.pages import write_page
from delfjax.photos import PhotoError, load_photo, scan
from delfjax.pyramid import PyramidConfig
from delfjax.search import Database, SearchConfig, Searcher, match, reduce_pair
from delfjax.store import FeatureStore, StoreError

OK, FAILED, SOME_FAILED = 0, 1, 3  # argparse itself exits with 2
EXITS = (
    "exit codes: 0 all well; 1 failed, the reason on standard error; 2 wrong usage; "
    "3 finished, but some photos could not be read (listed on standard error)"
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(arguments)
    # A process of its own for every command: without this each would compile anew.
    jax.config.update("jax_compilation_cache_dir", str(weights.cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    try:
        code = options.run(options)
        sys.stdout.flush()  # so that a closed pipe shows here, and not as Python exits
        return code
    except BrokenPipeError:
        # The reader has seen enough, as `head` does: no complaint. What is left in the buffer goes
        # nowhere, as the documentation of Python's signal module has it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (PhotoError, StoreError, weights.WeightsError, ValueError, OSError) as error:
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
    _model_options(sub)
    _ransac_options(sub)
    _json_option(sub)

    sub = command(
        _extract, "extract the features of a folder into a store; resumes, skips bad photos"
    )
    sub.add_argument("folder", type=Path, metavar="FOLDER")
    sub.add_argument("store", type=Path, metavar="STORE")
    sub.add_argument(
        "--database", default="*", help="file names of the photos that the PCA learns of"
    )
    _model_options(sub)
    _reduction_options(sub)

    sub = command(_index, "build an index over a store; report its cost and its recall")
    sub.add_argument("store", type=Path, metavar="STORE")
    _index_option(sub)
    _json_option(sub)

    sub = command(_search, "rank the photos of a store for one query photo")
    sub.add_argument("store", type=Path, metavar="STORE")
    sub.add_argument("photo", type=Path, metavar="PHOTO")
    sub.add_argument("--top", type=int, default=10, help="results to print")
    _weights_options(sub)
    _index_option(sub)
    _search_options(sub)
    _json_option(sub)

    sub = command(_evaluate, "mAP over a folder with one sub-folder a class, times, index recall")
    sub.add_argument("folder", type=Path, metavar="FOLDER")
    sub.add_argument(
        "--store", type=Path, help="where features are kept (default: beside the cache)"
    )
    sub.add_argument("--queries", default="*", help="file names of the query photos")
    sub.add_argument("--database", default="*", help="file names of the database photos")
    sub.add_argument("--page", type=Path, help="write a page of ranked results to this .html file")
    _model_options(sub)
    _reduction_options(sub)
    _index_option(sub)
    _search_options(sub)
    _json_option(sub)

    sub = command(_table, "print the table of results")
    sub.add_argument("--results", type=Path, default=Path("data/results"), metavar="FOLDER")
    return top


def _weights_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--weights", type=Path, help="a weight file on disk, in place of a download")


def _model_options(sub: argparse.ArgumentParser) -> None:
    names = [RESNET50_V1.name, RESNET50_V15.name]
    sub.add_argument("--backbone", choices=names, default=names[0], help="the paper's is v1")
    _weights_options(sub)
    pyramid, extraction = PyramidConfig(), ExtractionConfig()
    sub.add_argument(
        "--longest", type=int, default=pyramid.longest, help="shrink longer sides to this"
    )
    sub.add_argument(
        "--max-features", type=int, default=extraction.max_features, help="of one photo"
    )
    sub.add_argument("--nms-iou", type=float, default=extraction.nms_iou, help="1 keeps all")


def _reduction_options(sub: argparse.ArgumentParser) -> None:
    config = ReductionConfig()
    sub.add_argument("--dimensions", type=int, default=config.dimensions, help="of the PCA")
    sub.add_argument("--whiten", action="store_true", help="whiten the PCA")
    sub.add_argument("--pca-seed", type=int, default=config.seed, help="of the PCA's sample")


def _index_option(sub: argparse.ArgumentParser) -> None:
    kinds = ("auto", "exact", "nndescent")
    sub.add_argument("--index", choices=kinds, default="auto", help="auto: the faster one in all")


def _ransac_options(sub: argparse.ArgumentParser) -> None:
    config = RansacConfig()
    sub.add_argument(
        "--residual", type=float, default=config.residual, help="of an inlier, in pixels"
    )
    sub.add_argument(
        "--hypotheses", type=int, default=config.hypotheses, help="models tried a photo"
    )
    sub.add_argument("--seed", type=int, default=config.seed, help="of RANSAC")


def _search_options(sub: argparse.ArgumentParser) -> None:
    config = SearchConfig()
    sub.add_argument("--neighbours", type=int, default=config.neighbours, help="K of the paper")
    sub.add_argument(
        "--verified", type=int, default=config.verified, help="photos to verify a query"
    )
    sub.add_argument(
        "--max-distance", type=float, default=config.max_distance, help="of neighbours"
    )
    _ransac_options(sub)


def _json_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--json", type=Path, help="write the result to this file; - is standard output"
    )


# --- options to configurations ---------------------------------------------------------------------


def _extractor(options: argparse.Namespace) -> Extractor:
    pyramid = PyramidConfig(longest=options.longest)
    config = ExtractionConfig(
        pyramid=pyramid, max_features=options.max_features, nms_iou=options.nms_iou
    )
    return Extractor(weights.load(SPECS[options.backbone], file=options.weights), config=config)


def _filled(path: Path) -> FeatureStore:
    """Open a store to read from."""
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: holds no features yet; run: extract FOLDER {path}")
    return store


def _extractor_of(store: FeatureStore, options: argparse.Namespace) -> Extractor:
    """Make the extractor that a store was filled with."""
    made_by = store.made_by
    backbone = weights.load(SPECS[made_by["backbone"]], file=options.weights)
    extractor = Extractor(backbone, config=ExtractionConfig.from_dict(made_by["extraction"]))
    if extractor.checksum != made_by["model"]:
        raise StoreError(
            f"{store.path}: filled by other weights; pass the same with --weights FILE"
        )
    return extractor


def _reduction(options: argparse.Namespace) -> ReductionConfig:
    return ReductionConfig(
        dimensions=options.dimensions, whiten=options.whiten, seed=options.pca_seed
    )


def _ransac(options: argparse.Namespace) -> RansacConfig:
    return RansacConfig(residual=options.residual, hypotheses=options.hypotheses, seed=options.seed)


def _search_config(options: argparse.Namespace) -> SearchConfig:
    return SearchConfig(
        neighbours=options.neighbours,
        max_distance=options.max_distance,
        verified=options.verified,
        ransac=_ransac(options),
    )


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
    ransac = _ransac(options)
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
        database=photos.select(options.database),
        config=_reduction(options),
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
    ranking = Searcher(database, index, _search_config(options))(query).ranking
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
    photos = scan(options.folder)
    extractor = _extractor(options)
    store = options.store or weights.cache_folder() / "stores" / _store_name(options, extractor)
    evaluation = evaluate_folder(
        extractor,
        photos,
        store,
        queries=options.queries,
        database=options.database,
        index=options.index,
        search=_search_config(options),
        reduction=_reduction(options),
    )
    if options.page:
        write_page(evaluation, lambda name: load_photo(photos.path(name)), options.page)
    summary = evaluation.summary()
    low, high = summary["interval"]
    lines = [
        f"mAP         {summary['value']:.1f}  (95% of bootstrap over queries: {low:.1f} to {high:.1f})",
        *(f"P@{k:<2}        {value:.1f}" for k, value in summary["precision_at"].items()),
        f"queries     {summary['queries']}, database {summary['database']} photos",
        f"index       {evaluation.index_kind}, recall@60 {evaluation.recall:.3f}",
        *(f"{stage:16}{value:8.1f} s" for stage, value in evaluation.seconds.items()),
        f"store       {store}",
    ]
    _answer(options, summary, "\n".join(lines))
    return _complain(evaluation.report)


def _store_name(options: argparse.Namespace, extractor: Extractor) -> str:
    """Name a store after its folder and all that its features depend on."""
    settings = json.dumps(
        [
            str(options.folder.resolve()),
            asdict(extractor.config),
            asdict(_reduction(options)),
            extractor.checksum,
            options.database,
        ]
    )
    return f"{options.folder.name}-{weights.digest(settings.encode())[:12]}"


def _table(options: argparse.Namespace) -> int:
    print(results.table(options.results))
    return OK
