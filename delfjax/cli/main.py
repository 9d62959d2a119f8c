"""The command line: what runs long, or in scripts. A thin layer over the library.

Results go to standard output, progress and complaints to standard error.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
from tqdm.auto import tqdm

import delfjax
from delfjax import files, provenance
from delfjax.cli.data import data, data_options
from delfjax.cli.evaluate import benchmark, benchmark_options, evaluate, evaluate_options
from delfjax.cli.index import filled, index, index_options, search, search_command_options
from delfjax.cli.networks import extractor_for, extractor_of
from delfjax.cli.options import (
    json_option,
    model_options,
    pca_config,
    pca_options,
    ransac_config,
    ransac_options,
)
from delfjax.cli.output import EXITS, FAILED, INTERRUPTED, OK, answer, complain
from delfjax.cli.reproduce import reproduce, reproduce_options
from delfjax.cli.train import MODEL, train, train_options
from delfjax.features.cluster import connect_cluster
from delfjax.features.extract_folder import extract_folder
from delfjax.features.store import ExtractionReport
from delfjax.files import StoreError
from delfjax.images.reading import PhotoError, read_image, scan
from delfjax.models.conversion import WeightsError
from delfjax.paper import claims, tables
from delfjax.paper.runs import readme_table
from delfjax.plots import base
from delfjax.search.matching import match


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(arguments)
    options.typed = " ".join(["delfjax", *(sys.argv[1:] if arguments is None else arguments)])
    # A process of its own for every command: without this each would compile anew.
    jax.config.update("jax_compilation_cache_dir", str(files.cache_folder() / "xla"))
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
    place = sub.add_mutually_exclusive_group()
    place.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that extracts")
    place.add_argument("--workers", type=int, metavar="N", help="extract by N processes, of Dask")
    model_options(sub)
    pca_options(sub)

    summary = "build an index over a store and keep it; report its cost and its recall"
    index_options(command(index, summary))
    search_command_options(command(search, "rank the photos of a store for one query photo"))

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
        "--page",
        type=Path,
        help="put Table 1, in short, and values into this page, where it marks them",
    )
    return top


# --- commands --------------------------------------------------------------------------------------


def _match(options: argparse.Namespace) -> int:
    photos = [read_image(path) for path in options.photos]
    if options.store:
        store = filled(options.store)
        extractor, pca = extractor_of(store, options), store.pca
    else:
        extractor, pca = extractor_for(options), None
    raw = [extractor(photo) for photo in tqdm(photos, desc="extract", unit="photo")]
    ransac = ransac_config(options)
    limits = {"max_distance": options.max_distance, "ratio": options.ratio}
    pair = match(*raw, pca=pca, **limits, ransac=ransac)
    if options.figure:
        title = f"{pair.num_inliers} inliers of {len(pair.matches)} matches"
        drawn = base.matches(*photos, pair.matches, pair.inliers, title=title)
        drawn.save(options.figure)
    result = {
        "photos": [str(path) for path in options.photos],
        "features": [len(features) for features in raw],
        "matches": len(pair.matches),
        "inliers": pair.num_inliers,
        "affine": pair.affine.tolist() if pair.num_inliers else None,
        "config": {
            "extraction": asdict(extractor.config),
            **limits,
            "ransac": asdict(ransac),
        },
        "versions": provenance.versions(),
    }
    rows = np.array2string(pair.affine, precision=4, suppress_small=True)
    text = (
        f"features  {len(raw[0])} and {len(raw[1])}\nmatches   {len(pair.matches)}\n"
        f"inliers   {pair.num_inliers}\naffine    (y, x, 1) of the first photo to the second's\n{rows}"
    )
    answer(options, result, text)
    return OK


def _extract(options: argparse.Namespace) -> int:
    photos, extractor = scan(options.folder), extractor_for(options)
    with connect_cluster(scheduler=options.scheduler, workers=options.workers) as client:
        store = extract_folder(
            extractor, photos, options.store, config=pca_config(options), client=client
        )
    report = store.report
    print(
        f"{store.path}: {len(report.extracted)} photos extracted, {len(report.kept)} there before, "
        f"{len(report.failed)} failed"
    )
    return complain(report)


def _train(options: argparse.Namespace) -> int:
    trained = train(options)
    print(f"{options.out / MODEL}: step {trained.step} of {trained.config.optimizer.steps}")
    for name, value in trained.validated.items():
        print(f"{name.replace('_', ' '):32}{value:.3f}")
    return complain(ExtractionReport(failed=trained.failed))


def _table(options: argparse.Namespace) -> int:
    if options.page:
        tables.show_in(options.page, readme_table(options.results).markdown(), options.results)
    print(tables.all_results(options.results, every=options.all).text())
    if (decided := options.results / provenance.CLAIMS).is_file():
        print(f"\n{claims.told(claims.read(decided))}")
    return OK
