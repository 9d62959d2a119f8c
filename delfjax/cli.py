"""The command line: what runs long, or in scripts. A thin layer over the library.

Results go to standard output, progress and complaints to standard error.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
from tqdm.auto import tqdm

import delfjax
from delfjax import claims, plots, results, weights
from delfjax.answers import EXITS, FAILED, INTERRUPTED, OK, answer, complain
from delfjax.collection import Report, extract_folder
from delfjax.conversion import WeightsError
from delfjax.datasets.command import data, data_options
from delfjax.evaluation_command import (
    benchmark,
    benchmark_options,
    evaluate,
    evaluate_options,
)
from delfjax.index import PAPER_NEIGHBOURS, build_index
from delfjax.networks import extractor_for, extractor_of
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
from delfjax.photos import PhotoError, load_photo, scan
from delfjax.reproduce_command import reproduce, reproduce_options
from delfjax.search import Searcher, match, reduce_pair
from delfjax.store import FeatureStore, StoreError
from delfjax.train_command import MODEL, train, train_options


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
    sub.add_argument("--ratio", type=float, default=1.0, help="to the second nearest; 1 keeps all")
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

    summary = "mAP over a folder with one sub-folder a class, times, index recall"
    evaluate_options(command(evaluate, summary))
    summary = "mAP of a benchmark, by each of its protocols; `data list` names them"
    benchmark_options(command(benchmark, summary))
    data_options(command(data, "list the benchmarks' data sets, or fetch them"))

    train_options(command(_train, "train descriptors or attention; goes on where it stopped"))

    summary = "make every result of the paper's table and figures that is missing or out of date"
    reproduce_options(command(reproduce, summary))

    sub = command(_table, "print the table of results, and the claims that rest on them")
    sub.add_argument("--results", type=Path, default=Path("data/results"), metavar="FOLDER")
    sub.add_argument("--all", action="store_true", help="sweeps and comparisons too")
    sub.add_argument(
        "--page", type=Path, help="put table and values into this page, where it marks them"
    )
    return top


def _filled(path: Path) -> FeatureStore:
    """Open a store to read from."""
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: holds no features yet; run: extract FOLDER {path}")
    return store


# --- commands --------------------------------------------------------------------------------------


def _match(options: argparse.Namespace) -> int:
    photos = [load_photo(path) for path in options.photos]
    if options.store:
        store = _filled(options.store)
        extractor, reduction = extractor_of(store, options), store.reduction
    else:
        extractor, reduction = extractor_for(options), None
    raw = [extractor(photo) for photo in tqdm(photos, desc="extract", unit="photo")]
    left, right = reduce_pair(*raw, reduction)
    ransac = ransac_config(options)
    limits = {"max_distance": options.max_distance, "ratio": options.ratio}
    putative, verification = match(left, right, **limits, ransac=ransac)
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
            **limits,
            "ransac": asdict(ransac),
        },
        "versions": results.versions(),
    }
    rows = np.array2string(verification.affine, precision=4, suppress_small=True)
    text = (
        f"features  {len(left)} and {len(right)}\nmatches   {len(putative)}\n"
        f"inliers   {verification.count}\naffine    (y, x, 1) of the first photo to the second's\n{rows}"
    )
    answer(options, result, text)
    return OK


def _extract(options: argparse.Namespace) -> int:
    photos = scan(options.folder)
    store, report = extract_folder(
        extractor_for(options),
        photos,
        options.store,
        config=reduction_config(options),
    )
    print(
        f"{store.path}: {len(report.extracted)} photos extracted, {len(report.kept)} there before, "
        f"{len(report.failed)} failed"
    )
    return complain(report)


def _index(options: argparse.Namespace) -> int:
    database = _filled(options.store).gather()
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
    answer(options, result, "\n".join(f"{key:16} {value}" for key, value in result.items()))
    return OK


def _search(options: argparse.Namespace) -> int:
    store = _filled(options.store)
    query = extractor_of(store, options)(load_photo(options.photo))
    query = query.with_descriptors(store.reduction(query.descriptors))
    config = search_config(options)
    database = config.database(store)
    index = build_index(database.descriptors, options.index)
    ranking = Searcher(database, index, config)(config.query(query)).ranking
    top = list(zip(ranking.images, ranking.inliers, ranking.votes, strict=True))[: options.top]
    found = [
        {"photo": database.names[image], "inliers": int(inliers), "votes": int(votes)}
        for image, inliers, votes in top
    ]
    lines = [f"{row['inliers']:7} {row['votes']:5}  {row['photo']}" for row in found]
    answer(
        options,
        {"query": str(options.photo), "results": found},
        "\n".join(["inliers votes  photo", *lines]),
    )
    return OK


def _train(options: argparse.Namespace) -> int:
    trained = train(options)
    print(f"{options.out / MODEL}: step {trained.step} of {trained.config.optimiser.steps}")
    for name, value in trained.validated.items():
        print(f"{name.replace('_', ' '):32}{value:.3f}")
    return complain(Report(failed=trained.failed))


def _table(options: argparse.Namespace) -> int:
    shown = results.table(options.results, every=options.all)
    if options.page:
        results.show_in(options.page, shown, options.results)
    print(shown)
    if (decided := options.results / results.CLAIMS).is_file():
        print(f"\n{claims.told(claims.read(decided))}")
    return OK
