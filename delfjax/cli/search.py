"""The commands ``delfjax match``, ``extract``, ``index`` and ``search``."""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.cli.options import (
    add_extraction_options,
    add_index_options,
    add_json_option,
    add_model_options,
    add_pca_options,
    add_ransac_options,
    add_search_options,
    add_value,
    extraction_config,
    pca_config,
    ransac_config,
    search_config,
)
from delfjax.cli.output import OK, list_failures, print_result
from delfjax.features.cluster import connect_cluster
from delfjax.features.database import Database
from delfjax.features.extract_folder import extract_folder
from delfjax.features.factory import DEFAULT_MODEL, extractor_of, load
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError
from delfjax.images.reading import read_image, scan
from delfjax.provenance import describe, hardware, versions
from delfjax.search.exact import ExactIndex
from delfjax.search.index import NEIGHBORS, Index, build_index, load_index
from delfjax.search.index_files import MANIFEST, IndexFileError
from delfjax.search.matching import MAX_DISTANCE
from delfjax.search.matching import match as match_features
from delfjax.search.searcher import Searcher

# --- match -----------------------------------------------------------------------------------------


def match_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax match``."""
    parser.add_argument("photos", nargs=2, type=Path, metavar="PHOTO", help="photos to match")
    store = "use the model and PCA of this store; by default a PCA is learned from both photos"
    parser.add_argument("--store", type=Path, help=store)
    distance = "largest L2 distance between matching descriptors, 0 to 2"
    add_value(parser.add_argument, "--max-distance", MAX_DISTANCE, distance)
    ratio = "largest ratio of the distances of the nearest and second nearest neighbor; 1 keeps all"
    add_value(parser.add_argument, "--ratio", 1.0, ratio)
    figure = "save a figure of the inliers to this file (.png, .pdf, ...)"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    add_model_options(parser, default=None)
    add_extraction_options(parser)
    add_ransac_options(parser)
    add_json_option(parser)


def match(options: argparse.Namespace) -> int:
    """Run ``delfjax match``."""
    photos = [read_image(path) for path in options.photos]
    pca = None
    if options.store:
        store = open_store(options.store)
        model, pca = extractor_of(store, options.model, weights=options.weights), store.pca
    else:
        chosen = options.model or DEFAULT_MODEL
        model = load(chosen, extraction_config(options), weights=options.weights)
    features = [model(photo) for photo in tqdm(photos, desc="extract", unit="photo")]
    limits = {"max_distance": options.max_distance, "ratio": options.ratio}
    ransac = ransac_config(options)
    pair = match_features(*features, pca=pca, **limits, ransac=ransac)
    if options.figure:
        from delfjax import plots

        plots.matches(*photos, pair).save(options.figure)
    result = {
        "photos": [str(path) for path in options.photos],
        "features": [len(each) for each in features],
        "matches": len(pair.matches),
        "inliers": pair.num_inliers,
        "affine": pair.affine.tolist() if pair.num_inliers else None,
    }
    extraction, name = asdict(model.config), model.name
    config = {"model": name, "extraction": extraction, **limits, "ransac": asdict(ransac)}
    text = (
        f"features  {len(features[0])} and {len(features[1])}\n"
        f"matches   {len(pair.matches)}\n"
        f"inliers   {pair.num_inliers}\n"
        "affine    from (y, x, 1) of the first photo to (y, x) of the second\n"
        f"{np.array2string(pair.affine, precision=4, suppress_small=True)}"
    )
    print_result(options, result | describe(config), text)
    return OK


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
    place.add_argument("--workers", type=int, metavar="N", help=workers)
    add_model_options(parser)
    add_extraction_options(parser)
    add_pca_options(parser)


def extract(options: argparse.Namespace) -> int:
    """Run ``delfjax extract``."""
    photos = scan(options.folder)
    model = load(options.model, extraction_config(options), weights=options.weights)
    config = replace(pca_config(options), database=options.database)
    with connect_cluster(scheduler=options.scheduler, workers=options.workers) as client:
        store = extract_folder(model, photos, options.store, config=config, client=client)
    report = store.report
    print(
        f"{store.path}: {len(report.extracted)} photos extracted, {len(report.kept)} already in the "
        f"store, {len(report.failed)} failed"
    )
    return list_failures(report)


# --- index and search ------------------------------------------------------------------------------


def index_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax index``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    add_index_options(parser, settings=False)
    out = "write the index into this folder; by default into STORE.index"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    add_json_option(parser)


def index(options: argparse.Namespace) -> int:
    """Run ``delfjax index``: build an index and save it, by default beside the feature store.

    The index is saved with a checksum of the database (photo names and descriptors). Loading the
    index with another database is an error.
    """
    database = open_store(options.store).gather()
    start = time.perf_counter()
    built = build_index(database.descriptors, options.index)
    seconds = time.perf_counter() - start
    path = options.out or _default_index(options.store)
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
    print_result(options, result, text)
    return OK


def search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax search``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the feature store")
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="query photo")
    parser.add_argument("--top", type=int, default=10, help="number of results to print")
    saved = (
        "load this index of `delfjax index`; by default STORE.index if it exists, else a new index"
    )
    parser.add_argument("--saved", type=Path, metavar="FOLDER", help=saved)
    add_model_options(parser, default=None)
    add_index_options(parser, settings=False)
    add_search_options(parser)
    add_json_option(parser)


def search(options: argparse.Namespace) -> int:
    """Run ``delfjax search``."""
    if options.top < 1:
        raise ValueError(f"--top is {options.top}; expected at least 1")
    store, config = open_store(options.store), search_config(options)
    model = extractor_of(store, options.model, weights=options.weights)
    query = model(read_image(options.photo))
    query = query.with_descriptors(store.pca(query.descriptors))
    database = config.load_database(store)
    searcher = Searcher(database, _load_or_build(database, options), config)
    ranking = searcher(config.limit_features(query)).ranking
    best = zip(ranking.images, ranking.inliers, ranking.votes, strict=True)
    found = [
        {"photo": database.names[image], "inliers": int(inliers), "votes": int(votes)}
        for image, inliers, votes in list(best)[: options.top]
    ]
    lines = [f"{row['inliers']:7} {row['votes']:5}  {row['photo']}" for row in found]
    text = "\n".join(["inliers votes  photo", *lines])
    print_result(options, {"query": str(options.photo), "results": found}, text)
    return OK


def open_store(path: Path) -> FeatureStore:
    """Open a feature store for reading. Raise a `StoreError` if it does not exist or is empty."""
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: the store is empty. Fix: run delfjax extract FOLDER {path}")
    return store


def _default_index(store: Path) -> Path:
    return store.with_name(f"{store.name}.index")


def _load_or_build(database: Database, options: argparse.Namespace) -> Index:
    """Load the saved index if the options allow it. Otherwise build an index."""
    path = options.saved or _default_index(options.store)
    complete = options.features is None and options.truncate is None
    fits = complete and options.index == "auto"
    if options.saved and not fits:
        raise ValueError(
            f"--saved {path}: cannot be combined with --features, --truncate or --index; the features, "
            "dimensions and kind of a saved index are fixed. "
            "Fix: leave out --saved, or leave out the other options"
        )
    if not (options.saved or (fits and (path / MANIFEST).exists())):
        return build_index(database.descriptors, options.index)
    try:
        return load_index(path, database=database.checksum)
    except IndexFileError as error:
        raise IndexFileError(
            f"{error} with `delfjax index {options.store} --out {path}`, or search with "
            "`--index exact`"
        ) from error
