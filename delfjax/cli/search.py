"""The commands ``delfjax match``, ``extract``, ``index`` and ``search``."""

import argparse
import os
import shlex
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.cli.options import (
    add_advanced_group,
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
    OK,
    UsageError,
    check_folder,
    check_outputs,
    list_failures,
    print_result,
    show,
)
from delfjax.features.cluster import WORKERS, connect_cluster
from delfjax.features.database import Database
from delfjax.features.extract_folder import LocalExtractor, PCAConfig, extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.factory import DEFAULT_MODEL, extractor_of, load
from delfjax.features.store import MANIFEST as STORE_MANIFEST
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError, printable
from delfjax.images.folder import PhotoFolder, scan
from delfjax.images.reading import PhotoError, read_image
from delfjax.provenance import config_to_dict, describe, hardware, versions
from delfjax.ranges import COUNT, RATIO, check_dimensions
from delfjax.search.exact import ExactIndex
from delfjax.search.index import NEIGHBORS, Index, IndexConfig, build_index, load_index
from delfjax.search.index_files import MANIFEST, check_files
from delfjax.search.matching import DISTANCE, MAX_DISTANCE
from delfjax.search.matching import match as match_features
from delfjax.search.photo_search import (
    cached_index,
    cached_store_path,
    find_copies,
    update_cached_store,
)
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.types import Photo

NAMES_SHOWN = 10  # names of each group of photos that `delfjax extract` prints

# --- match -----------------------------------------------------------------------------------------


def match_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax match``."""
    parser.add_argument("photos", nargs=2, type=Path, metavar="PHOTO", help="photos to match")
    store = "use the model and PCA of this feature store; by default, fit a PCA to the two photos"
    parser.add_argument("--store", type=Path, help=store)
    figure = "save a figure of the inliers to this file (.png, .pdf, ...)"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    add_model_options(parser, of_store=True)
    add_json_option(parser)
    advanced = add_advanced_group(parser)
    distance = "largest L2 distance between matching descriptors, 0 to 2"
    add_number(advanced, "--max-distance", MAX_DISTANCE, DISTANCE, distance)
    ratio = "largest ratio of the distances to the nearest and second nearest neighbor; 1 keeps all"
    add_number(advanced, "--ratio", 1.0, RATIO, ratio)
    add_backend_option(advanced)
    add_extraction_options(advanced)
    add_ransac_options(advanced)


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
        # y, x in the first photo and y, x in the second, for each match
        "coordinates": np.hstack([pair.matches.query, pair.matches.database]).tolist(),
        "is_inlier": pair.inliers.tolist(),
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
    prune = "remove photos from STORE that are no longer in FOLDER"
    parser.add_argument("--prune", action="store_true", help=prune)
    add_model_options(parser)
    add_backend_option(parser)
    advanced = add_advanced_group(parser)
    database = "learn the PCA only from files that match this pattern"
    advanced.add_argument("--database", default="*", metavar="PATTERN", help=database)
    place = advanced.add_mutually_exclusive_group()
    scheduler = "extract on the Dask cluster at this address"
    place.add_argument("--scheduler", metavar="ADDRESS", help=scheduler)
    workers = "extract with N Dask workers on this machine"
    add_number(place, "--workers", None, WORKERS, workers)
    add_extraction_options(advanced)
    add_pca_options(advanced)


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
    folder = (
        "folder of photos, whose features are kept in the cache; or the feature store that "
        "`delfjax extract` wrote"
    )
    parser.add_argument("folder", type=Path, metavar="PHOTOS", help=folder)
    parser.add_argument("photo", type=Path, metavar="QUERY", help="photo of the place to find")
    page = "write a web page with the results and their matching details into this .html file"
    parser.add_argument("--page", type=Path, metavar="FILE", help=page)
    add_number(parser, "--top", 10, COUNT, "number of results")
    add_model_options(parser, of_store=True)
    add_backend_option(parser)
    add_json_option(parser)
    advanced = add_advanced_group(parser)
    saved = "folder that `delfjax index` wrote; by default PHOTOS.index, for a feature store"
    advanced.add_argument("--saved", type=Path, metavar="FOLDER", help=saved)
    add_extraction_options(advanced)
    add_pca_options(advanced)
    add_index_options(advanced, settings=False)
    add_search_options(advanced)


def search(options: argparse.Namespace) -> int:
    """Run ``delfjax search``."""
    check_outputs(options, _default_index(options.folder))
    config = search_config(options)
    if options.saved and not _fits_saved(options):
        raise UsageError(
            f"--saved {options.saved} cannot be combined with --features, --truncate or --index: the "
            "features, dimensions and kind of a saved index are fixed. "
            "Fix: leave out --saved, or leave out the other options"
        )
    if options.page:
        import matplotlib  # noqa: F401 - slow, and it refuses a wrong $MPLBACKEND
    store, model, photo, skipped = _open_collection(options, config)
    query = model(photo)
    if not len(query):
        text = "no feature was found in this photo, so the result is empty. Fix: use another photo"
        show(f"{options.photo}: {text}", error=True)
    if store.pca is not None:
        query = query.with_descriptors(store.pca(query.descriptors))
    database = config.load_database(store)
    searcher = Searcher(database, _load_or_build(database, store, options), config)
    result = searcher(config.limit_features(query))
    copies, ranking, verdicts = find_copies(store, options.photo), result.ranking, result.verdicts
    images = [each for each in ranking.images.tolist() if database.names[each] not in copies]
    positions = {image: position for position, image in enumerate(ranking.images.tolist())}
    rows = [
        {
            "photo": database.names[image],
            "verdict": verdicts[image].text if image in verdicts else None,
            "score": int(ranking.score[positions[image]]),
            "inliers": int(ranking.inliers[positions[image]]),
            "votes": int(ranking.votes[positions[image]]),
        }
        for image in images[: options.top]
    ]
    lines = [f"{'verdict':30} score inliers votes  photo"] + [
        f"{row['verdict'] or 'not verified':30} {row['score']:5} {row['inliers']:7} "
        f"{row['votes']:5}  {printable(str(row['photo']))}"
        for row in rows
    ]
    if copies:
        names = ", ".join(map(printable, copies))
        lines.append(f"left out, because it is the query itself: {names}")
    notes = {
        "Left out, because it is the query itself": copies,
        "Photos that could not be read": [*map(str, store.report.failed.values())],
        "Files that are not photos": skipped,
    }

    def write_page() -> None:
        from delfjax.plots.pages import SearchPage  # a slow import

        page = SearchPage(
            query=options.photo.name,
            photo=photo,
            features=query,
            folder=str(options.folder),
            database=database,
            result=result,
            images=images,
            load=partial(_load_photo, store),
            notes=notes,
            command=shlex.join(["delfjax", *sys.argv[1:]]),
        )
        page.write(options.page, options.top)

    output = {"query": str(options.photo), "copies_of_query": copies, "results": rows}
    writers = {"--page": write_page} if options.page else {}
    code = print_result(options, output, "\n".join(lines), writers)
    return list_failures(store.report) if code == OK else code


def _open_collection(
    options: argparse.Namespace, config: SearchConfig
) -> tuple[FeatureStore, LocalExtractor, Photo, tuple[str, ...]]:
    """Open a feature store, or bring the features of a folder of photos up to date.

    Return the store, its model, the query photo, and the names of files that are not photos.
    """
    extraction, pca = extraction_config(options), pca_config(options)
    is_store = (options.folder / STORE_MANIFEST).exists()
    if is_store and (extraction, pca) != (ExtractionConfig(), PCAConfig()):
        raise UsageError(
            f"{options.folder} is a feature store. Its settings of extraction and PCA cannot be changed. "
            "Fix: leave out the options of `delfjax extract`, or search a folder of photos"
        )
    store = open_store(options.folder) if is_store else None
    dimensions = store.dimensions if store else pca.dimensions
    check_dimensions("--truncate", config.truncate, dimensions)
    IndexConfig(kind=options.index).check(config.truncate or dimensions)
    settings = {"weights": options.weights, "backend": options.backend}
    if store:
        model = extractor_of(store, options.model, **settings)
        return store, model, read_image(options.photo), ()
    photos, photo = scan(options.folder), read_image(options.photo)
    model = load(options.model or DEFAULT_MODEL, extraction, **settings)
    path = cached_store_path(model, photos, pca)
    show(f"{options.folder}: the features of {len(photos)} photos are kept in {path}", error=True)
    try:
        store = update_cached_store(model, photos, pca)
    except KeyboardInterrupt:
        show("The features that are extracted already are kept", error=True)
        raise
    report = store.report
    if report.extracted or report.removed:
        text = f"{len(report.extracted)} photos extracted, {len(report.kept)} kept, "
        show(f"{text}{len(report.removed)} removed", error=True)
    if photos.skipped:
        show(photos.skipped_summary, error=True)
    return store, model, photo, photos.skipped


def _load_photo(store: FeatureStore, name: str) -> Photo:
    """Read a photo of a store from the folder from which its features were extracted."""
    source = store.source(name)
    if source is None:  # in stores of delfjax 0.1.0
        raise PhotoError(f"{store.path}: the folder of {name!r} is unknown")
    return read_image(Path(source.folder) / name)


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


def _load_or_build(database: Database, store: FeatureStore, options: argparse.Namespace) -> Index:
    """Load the saved index if the options allow it. Otherwise build an index."""
    path, fits = options.saved or _default_index(store.path), _fits_saved(options)
    if fits and not options.saved and store.path != options.folder:  # a store in the cache
        return cached_index(database, store.path)
    if options.saved or (fits and (path / MANIFEST).exists()):
        return load_index(path, database=database.checksum)
    return build_index(database.descriptors, options.index)
