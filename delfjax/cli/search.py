"""The commands ``delfjax match``, ``extract``, ``index`` and ``search``."""

import argparse
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.cli.options import (
    add_backend_option,
    add_extraction_options,
    add_index_options,
    add_json_option,
    add_model_options,
    add_number,
    add_pca_options,
    add_ransac_options,
    add_search_options,
    extraction_config,
    pca_config,
    ransac_config,
    search_config,
)
from delfjax.cli.output import (
    UsageError,
    check_folder,
    check_outputs,
    list_failures,
    print_result,
    show,
)
from delfjax.features.cluster import WORKERS, connect_cluster
from delfjax.features.database import Database
from delfjax.features.extract_folder import extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.factory import DEFAULT_MODEL, extractor_of, load
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError, printable
from delfjax.images.folder import PhotoFolder, scan
from delfjax.images.reading import read_image
from delfjax.provenance import config_to_dict, describe, hardware, versions
from delfjax.ranges import COUNT, RATIO, check_dimensions
from delfjax.search.exact import ExactIndex
from delfjax.search.index import NEIGHBORS, Index, IndexConfig, build_index, load_index
from delfjax.search.index_files import MANIFEST, check_files
from delfjax.search.matching import DISTANCE, MAX_DISTANCE
from delfjax.search.matching import match as match_features
from delfjax.search.searcher import Searcher

NAMES_SHOWN = 10  # names of each group of photos that `delfjax extract` prints

# --- match -----------------------------------------------------------------------------------------


def match_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax match``."""
    parser.add_argument("photos", nargs=2, type=Path, metavar="PHOTO", help="photos to match")
    store = "use the model and PCA of this feature store; by default, fit a PCA to the two photos"
    parser.add_argument("--store", type=Path, help=store)
    distance = "largest L2 distance between matching descriptors, 0 to 2"
    add_number(parser, "--max-distance", MAX_DISTANCE, DISTANCE, distance)
    ratio = "largest ratio of the distances to the nearest and second nearest neighbor; 1 keeps all"
    add_number(parser, "--ratio", 1.0, RATIO, ratio)
    figure = "save a figure of the inliers to this file (.png, .pdf, ...)"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    add_model_options(parser, default=None)
    add_backend_option(parser)
    add_extraction_options(parser)
    add_ransac_options(parser)
    add_json_option(parser)


def match(options: argparse.Namespace) -> int:
    """Run ``delfjax match``."""
    check_outputs(options)
    configured, ransac = extraction_config(options), ransac_config(options)
    if options.store and configured != ExtractionConfig():
        raise UsageError(
            "--store has extraction settings of its own, which cannot be changed. Fix: leave out --longest, "
            "--max-features, --nms-iou, --min-contrast and --selection, or leave out --store"
        )
    if options.figure:
        import matplotlib  # noqa: F401 - slow, and it refuses a wrong $MPLBACKEND
    photos = [read_image(path) for path in options.photos]
    pca = None
    if options.store:
        store = open_store(options.store)
        model = extractor_of(store, options.model, weights=options.weights, backend=options.backend)
        pca = store.pca
    else:
        model = load(
            options.model or DEFAULT_MODEL,
            configured,
            weights=options.weights,
            backend=options.backend,
        )
    features = [model(photo) for photo in tqdm(photos, desc="extract", unit="photo")]
    limits = {"max_distance": options.max_distance, "ratio": options.ratio}
    pair = match_features(*features, pca=pca, **limits, ransac=ransac)
    result = {
        "photos": [str(path) for path in options.photos],
        "features": [len(each) for each in features],
        "matches": len(pair.matches),
        "inliers": pair.num_inliers,
        "verdict": asdict(pair.verdict),
        "affine": pair.affine.tolist() if pair.num_inliers else None,
    }
    extraction, name = config_to_dict(model.config), model.name
    verification = asdict(ransac) | {"scale_aware": ransac.scale_aware is not False}
    config = {"model": name, "extraction": extraction, **limits, "ransac": verification}
    text = (
        f"features  {len(features[0])} and {len(features[1])}\n"
        f"matches   {len(pair.matches)}\n"
        f"inliers   {pair.num_inliers}\n"
        f"verdict   {pair.verdict.text}\n"
        "affine    from (y, x, 1) of the first photo to (y, x) of the second\n"
        f"{np.array2string(pair.affine, precision=4, suppress_small=True)}"
    )

    def save_figure() -> None:
        from delfjax import plots  # a slow import

        plots.matches(photos[0], photos[1], pair).save(options.figure)

    writers = {"--figure": save_figure} if options.figure else {}
    return print_result(options, result | describe(config), text, writers)


# --- extract ---------------------------------------------------------------------------------------


def extract_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax extract``."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of photos")
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    database = "learn the PCA only from files that match this pattern"
    parser.add_argument("--database", default="*", metavar="PATTERN", help=database)
    place = parser.add_mutually_exclusive_group()
    scheduler = "extract on the Dask cluster at this address"
    place.add_argument("--scheduler", metavar="ADDRESS", help=scheduler)
    workers = "extract with N Dask workers on this machine"
    add_number(place, "--workers", None, WORKERS, workers)
    prune = "remove photos from STORE that are no longer in FOLDER"
    parser.add_argument("--prune", action="store_true", help=prune)
    add_model_options(parser)
    add_backend_option(parser)
    add_extraction_options(parser)
    add_pca_options(parser)


def extract(options: argparse.Namespace) -> int:
    """Run ``delfjax extract``."""
    check_folder("STORE", options.store)
    settings = extraction_config(options)
    config = replace(pca_config(options), database=options.database)
    photos = scan(options.folder)
    model = load(options.model, settings, weights=options.weights, backend=options.backend)
    with connect_cluster(scheduler=options.scheduler, workers=options.workers) as client:
        store = extract_folder(model, photos, options.store, config=config, client=client)
    report, gone = store.report, _gone(store, photos)
    if options.prune and gone:
        with store:
            store.remove(name for name in gone if name in store)
            store.compact()
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
    others = ((name, store.source(name)) for name in store.names if name not in names)
    return [
        name
        for name, source in others
        if source is not None and source.folder == folder and source.box is None  # not a crop
    ]


# --- index and search ------------------------------------------------------------------------------


def index_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax index``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    add_index_options(parser, settings=False)
    out = "write the index into this folder; by default into STORE.index"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    add_json_option(parser)


def index(options: argparse.Namespace) -> int:
    """Run ``delfjax index``."""
    path = options.out or _default_index(options.store)
    check_outputs(options, path)
    check_folder("--out", path)
    check_files(path)
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


def search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax search``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="query photo")
    add_number(parser, "--top", 10, COUNT, "number of results to print")
    saved = (
        "folder that `delfjax index` wrote; by default STORE.index if it exists, else a new index"
    )
    parser.add_argument("--saved", type=Path, metavar="FOLDER", help=saved)
    add_model_options(parser, default=None)
    add_backend_option(parser)
    add_index_options(parser, settings=False)
    add_search_options(parser)
    add_json_option(parser)


def search(options: argparse.Namespace) -> int:
    """Run ``delfjax search``."""
    check_outputs(options, _default_index(options.store))
    config = search_config(options)
    if options.saved and not _fits_saved(options):
        raise UsageError(
            f"--saved {options.saved} cannot be combined with --features, --truncate or --index: the "
            "features, dimensions and kind of a saved index are fixed. "
            "Fix: leave out --saved, or leave out the other options"
        )
    store = open_store(options.store)
    check_dimensions("--truncate", config.truncate, store.dimensions)
    IndexConfig(kind=options.index).check(config.truncate or store.dimensions)
    model = extractor_of(store, options.model, weights=options.weights, backend=options.backend)
    query = model(read_image(options.photo))
    if not len(query):
        text = "no feature was found in this photo, so the result is empty. Fix: use another photo"
        show(f"{options.photo}: {text}", error=True)
    if store.pca is not None:
        query = query.with_descriptors(store.pca(query.descriptors))
    database = config.load_database(store)
    searcher = Searcher(database, _load_or_build(database, options), config)
    ranking = searcher(config.limit_features(query)).ranking
    best = zip(ranking.images, ranking.score, ranking.inliers, ranking.votes, strict=True)
    names = ("score", "inliers", "votes")
    found = [
        {"photo": database.names[image]} | dict(zip(names, map(int, numbers), strict=True))
        for image, *numbers in list(best)[: options.top]
    ]
    lines = [
        f"{row['score']:5} {row['inliers']:7} {row['votes']:5}  {printable(row['photo'])}"
        for row in found
    ]
    text = "\n".join(["score inliers votes  photo", *lines])
    return print_result(options, {"query": str(options.photo), "results": found}, text)


def open_store(path: Path) -> FeatureStore:
    """Open a feature store for reading. Raise a `StoreError` if it is missing or empty."""
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: the store is empty. Fix: run delfjax extract FOLDER {path}")
    return store


def _default_index(store: Path) -> Path:
    if store.name in ("", ".."):  # such as "."
        store = Path(os.path.abspath(store))
    return store.with_name(f"{store.name}.index")


def _fits_saved(options: argparse.Namespace) -> bool:
    """Return whether the options keep the features, dimensions and kind of a saved index."""
    return options.features is None and options.truncate is None and options.index == "auto"


def _load_or_build(database: Database, options: argparse.Namespace) -> Index:
    """Load the saved index if the options allow it. Otherwise build an index."""
    path = options.saved or _default_index(options.store)
    if options.saved or (_fits_saved(options) and (path / MANIFEST).exists()):
        return load_index(path, database=database.checksum)
    return build_index(database.descriptors, options.index)
