"""The commands ``delfjax evaluate`` and ``delfjax benchmark``, which compute mAP."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from delfjax import datasets
from delfjax.cli import options as shared
from delfjax.cli.output import UsageError, check_folder, check_outputs, print_result, show
from delfjax.datasets.benchmark import Benchmark
from delfjax.datasets.catalog import data_folder
from delfjax.datasets.labeled_folder import describe_classes
from delfjax.evaluation.benchmark import evaluate as evaluate_benchmark
from delfjax.evaluation.report import format_report, report
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.factory import load
from delfjax.images.folder import scan


def evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax evaluate``."""
    labeled = "folder of photos with one sub-folder per class"
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=labeled)
    queries = "use only files that match this pattern as query photos"
    parser.add_argument("--queries", default="*", metavar="PATTERN", help=queries)
    database = "use only files that match this pattern as database photos"
    parser.add_argument("--database", default="*", metavar="PATTERN", help=database)
    _add_shared_options(parser)


def benchmark_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax benchmark``."""
    names = f"benchmark, one of {', '.join(datasets.NAMES)}"
    parser.add_argument("name", choices=datasets.NAMES, metavar="NAME", help=names)
    parser.add_argument("--root", type=Path, default=data_folder(), help="folder of the data sets")
    _add_shared_options(parser)


def evaluate(options: argparse.Namespace) -> int:
    """Run ``delfjax evaluate``."""

    def load_benchmark() -> Benchmark:
        photos = scan(options.folder)
        show(f"{options.folder}: {describe_classes(photos)}", error=True)
        return datasets.labeled(photos, options.queries, options.database)

    return _run(load_benchmark, options)


def benchmark(options: argparse.Namespace) -> int:
    """Run ``delfjax benchmark``."""
    return _run(lambda: datasets.load(options.name, options.root), options)


def _add_shared_options(parser: argparse.ArgumentParser) -> None:
    store = "folder for the local features; by default a folder in the cache"
    parser.add_argument("--store", type=Path, metavar="FOLDER", help=store)
    page = "write a web page with the first results of each query into this .html file"
    parser.add_argument("--page", type=Path, metavar="FILE", help=page)
    shared.add_model_options(parser)
    shared.add_json_option(parser)
    shared.add_stage_options(parser)
    advanced = parser.add_argument_group(shared.ADVANCED)
    shared.add_fields(advanced, *shared.EXTRACTION, PCAConfig())
    shared.add_index_option(advanced)
    shared.add_fields(advanced, *shared.SEARCH)


def _run(load_benchmark: Callable[[], Benchmark], options: argparse.Namespace) -> int:
    """Evaluate a benchmark, print the scores, and write the requested files."""
    check_outputs(options)
    check_folder("--store", options.store)
    config = shared.run_config(options)
    config.check()
    if options.store and not config.uses_local_features:
        raise UsageError(
            "--store has no effect, because --global alone uses no local features. "
            "Fix: leave out --store, or add --fuse or --shortlist"
        )
    benchmark = load_benchmark()
    model = load(options.model, config.extraction, weights=options.weights)
    evaluation = evaluate_benchmark(model, benchmark, config, store=options.store)
    result = report(evaluation) | {"command": shlex.join(["delfjax", *sys.argv[1:]])}

    def write_page() -> None:
        from delfjax.plots.pages import write_evaluation_page  # a slow import

        write_evaluation_page(evaluation, options.page)

    text = format_report(evaluation, result)
    return print_result(options, result, text, evaluation.report, page=write_page)
