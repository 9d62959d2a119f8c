"""The commands ``delfjax extract``, ``index`` and ``export``, for feature stores."""

import argparse
import os
import time
from pathlib import Path

from delfjax.cli import options as shared
from delfjax.cli.output import (
    OK,
    UsageError,
    check_folder,
    check_outputs,
    list_failures,
    print_result,
    show,
)
from delfjax.features.cluster import WORKERS, connect_cluster
from delfjax.features.extract_folder import LocalExtractor, PCAConfig, extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.factory import DEFAULT_MODEL, extractor_of, load
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError, printable
from delfjax.images.folder import PhotoFolder, scan
from delfjax.provenance import hardware, versions
from delfjax.ranges import COUNT
from delfjax.search.exact import ExactIndex
from delfjax.search.hloc import export_hloc
from delfjax.search.index import NEIGHBORS, IndexConfig, build_index, check_no_folder
from delfjax.search.photo_search import remove_photos
from delfjax.search.searcher import SearchConfig, Searcher

NAMES_SHOWN = 10  # names of each group of photos that `delfjax extract` prints


def extract_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax extract``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of photos")
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    prune = "remove photos from STORE that are no longer in FOLDER"
    parser.add_argument("--prune", action="store_true", help=prune)
    shared.add_model_options(parser)
    shared.add_backend_option(parser)
    advanced = parser.add_argument_group(shared.ADVANCED)
    database = "learn the PCA only from files that match this pattern"
    advanced.add_argument("--database", default="*", metavar="PATTERN", help=database)
    place = advanced.add_mutually_exclusive_group()
    scheduler = "extract on the Dask cluster at this address"
    place.add_argument("--scheduler", metavar="ADDRESS", help=scheduler)
    workers = "extract with N Dask workers on this machine"
    shared.add_number(place, "--workers", None, WORKERS, workers)
    shared.add_fields(advanced, *shared.EXTRACTION, PCAConfig())


def extract(options: argparse.Namespace) -> int:
    """Run ``delfjax extract``."""
    check_folder("STORE", options.store)
    extraction = shared.extraction_config(options)
    config = shared.read_config(options, PCAConfig(), database=options.database)
    photos = scan(options.folder)
    model = load_model(options, extraction)
    with connect_cluster(scheduler=options.scheduler, workers=options.workers) as client:
        store = extract_folder(model, photos, options.store, config=config, client=client)
    report, gone = store.report, _gone(store, photos)
    if options.prune and gone:
        remove_photos(store, gone)
    changed = set(report.changed)
    groups = {
        "added": [name for name in report.extracted if name not in changed],
        "changed": report.changed,
        "kept": report.kept,
        "failed": [*report.failed],
        "gone": gone,
    }
    counts = ", ".join(f"{len(names)} {group}" for group, names in groups.items())
    lines = [f"{store.path}: {counts}", *filter(None, [photos.skipped_summary])]
    for group, names in groups.items():
        shown = ", ".join(map(printable, sorted(names)[:NAMES_SHOWN]))
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        lines += [f"{group:9}{shown}{more}"] if names else []
    if gone:
        removed = "photos that are no longer in the folder were removed from the store"
        kept = "photos that are no longer in the folder are still in the store. Fix: add --prune"
        lines.append(removed if options.prune else kept)
    show("\n".join(lines))
    return list_failures(report)


def _gone(store: FeatureStore, photos: PhotoFolder) -> list[str]:
    """Return the photos in a store that come from a folder and are not there any more."""
    folder, names = str(photos.root.resolve()), set(photos.names)
    return sorted(
        name
        for name, source in store.sources.items()
        if name not in names
        and source is not None
        and source.folder == folder
        and source.box is None  # not a crop
    )


def index_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax index``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    shared.add_index_option(parser)
    shared.add_json_option(parser)


def index(options: argparse.Namespace) -> int:
    """Run ``delfjax index``."""
    path = default_index(options.store)
    check_outputs(options, path)
    check_folder("STORE", path.parent)
    check_no_folder(path)
    store = open_store(options.store)
    IndexConfig(kind=options.index).check(store.dimensions)
    database = store.gather()
    start = time.perf_counter()
    built = build_index(database.descriptors, options.index)
    seconds = time.perf_counter() - start
    built.save(path, database=database.checksum)
    k = min(NEIGHBORS, len(database.descriptors))
    recall = built.recall(database.descriptors, k, exact=ExactIndex(database.descriptors))
    result = {
        "kind": built.kind,
        "photos": len(database),
        "descriptors": len(database.descriptors),
        "build_seconds": round(seconds, 2),
        f"recall_at_{k}": round(recall, 4),
        "saved": str(path),
        "versions": versions(),
        "hardware": hardware(),
    }
    text = "\n".join(f"{key:16} {value}" for key, value in result.items())
    return print_result(options, result, text)


def export_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax export``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    out = "write features.h5, matches.h5 and pairs.txt into this folder"
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=out)
    shared.add_number(
        parser, "--top", 20, COUNT, "match each photo with the N photos that rank highest for it"
    )
    advanced = parser.add_argument_group(shared.ADVANCED)
    shared.add_index_option(advanced)
    shared.add_fields(advanced, *shared.SEARCH)


def export(options: argparse.Namespace) -> int:
    """Run ``delfjax export``."""
    check_folder("FOLDER", options.folder)
    config = shared.read_config(options, SearchConfig())
    searcher = Searcher(open_store(options.store), options.index, config)
    export_hloc(searcher, options.folder, top=options.top)
    show(f"{options.folder}: written, features and matches of {len(searcher.database)} photos")
    return OK


def open_store(path: Path) -> FeatureStore:
    """Open a feature store for reading. Raise a `StoreError` if it is missing, empty or unfinished."""
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: the store is empty. Fix: run delfjax extract FOLDER {path}")
    if store.pca is None and store.made_by.get("reduction"):
        raise StoreError(
            f"{path}: the extraction was interrupted before the PCA was learned. "
            f"Fix: run delfjax extract FOLDER {path}"
        )
    return store


def check_unchanged(
    store: Path, extraction: ExtractionConfig, pca: PCAConfig | None = None
) -> None:
    """Raise a `UsageError` if settings are not the defaults. The settings of a store are fixed."""
    if (extraction, pca or PCAConfig()) != (ExtractionConfig(), PCAConfig()):
        raise UsageError(
            f"{store} is a feature store, whose settings of extraction and PCA cannot be changed. Fix: "
            "leave out the options that `delfjax extract` also has, such as --longest, or use no store"
        )


def load_model(
    options: argparse.Namespace, extraction: ExtractionConfig, store: FeatureStore | None = None
) -> LocalExtractor:
    """Load the model of a store or, without a store, the model that the options choose."""
    settings = {"weights": options.weights, "backend": options.backend}
    if store is not None:
        return extractor_of(store, options.model, **settings)
    return load(options.model or DEFAULT_MODEL, extraction, **settings)


def default_index(store: Path) -> Path:
    """Return the path of the index of a feature store: ``<store>.index``."""
    if store.name in ("", ".."):  # such as "."
        store = Path(os.path.abspath(store))
    return store.with_name(f"{store.name}.index")
