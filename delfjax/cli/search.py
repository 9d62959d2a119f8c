"""The commands ``delfjax search`` and ``match``, which compare a query with a collection or with one photo."""

import argparse
import shlex
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.cli import options as shared
from delfjax.cli.extract import check_unchanged, default_index, load_model, open_store
from delfjax.cli.output import check_outputs, print_result, show
from delfjax.features.database import Database
from delfjax.features.extract_folder import LocalExtractor, PCAConfig
from delfjax.features.store import FeatureStore, is_store
from delfjax.files import printable
from delfjax.geometry.ransac import RansacConfig
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError, read_image
from delfjax.provenance import config_to_dict, describe
from delfjax.ranges import COUNT, RATIO, check_dimensions
from delfjax.search.index import Index, IndexConfig, build_index, load_index
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
    shared.add_number(parser, "--top", 10, COUNT, "number of results")
    shared.add_model_options(parser, of_store=True)
    shared.add_backend_option(parser)
    shared.add_json_option(parser)
    advanced = parser.add_argument_group(shared.ADVANCED)
    shared.add_fields(advanced, *shared.EXTRACTION, PCAConfig())
    shared.add_index_option(advanced)
    shared.add_fields(advanced, *shared.SEARCH)


def search(options: argparse.Namespace) -> int:
    """Run ``delfjax search``."""
    check_outputs(options, default_index(options.folder))
    config = shared.read_config(options, SearchConfig())
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
    copies, ranking = find_copies(store, options.photo), result.ranking
    numbers = zip(ranking.images, ranking.score, ranking.inliers, ranking.votes, strict=True)
    rows = {
        int(image): {"score": score.item(), "inliers": int(inliers), "votes": int(votes)}
        for image, score, inliers, votes in numbers
        if database.names[image] not in copies
    }
    found, lines = [], [f"{'verdict':30}  score inliers votes  photo"]
    for image, row in list(rows.items())[: options.top]:
        name, verdict = database.names[image], result.verdicts.get(image)
        found.append({"photo": name, "verdict": verdict and asdict(verdict)} | row)
        text = verdict.text if verdict else "not verified"
        counts = f"{row['score']:6.1f} {row['inliers']:7} {row['votes']:5}"
        lines.append(f"{text:30} {counts}  {printable(name)}")
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
            folder=options.folder.resolve().name or str(options.folder),  # "." is no name
            database=database,
            result=result,
            images=[*rows],
            load=partial(_load_photo, store),
            notes=notes,
            command=shlex.join(["delfjax", *sys.argv[1:]]),
        )
        page.write(options.page, options.top)

    output = {"query": str(options.photo), "copies_of_query": copies, "results": found}
    return print_result(options, output, "\n".join(lines), store.report, page=write_page)


def _open_collection(
    options: argparse.Namespace, config: SearchConfig
) -> tuple[FeatureStore, LocalExtractor, Photo, tuple[str, ...]]:
    """Open a feature store, or bring the features of a folder of photos up to date.

    Return the store, its model, the query photo, and the names of files that are not photos.
    """
    extraction, pca = shared.extraction_config(options), shared.read_config(options, PCAConfig())
    store = None
    if is_store(options.folder):
        check_unchanged(options.folder, extraction, pca)
        store = open_store(options.folder)
    dimensions = store.dimensions if store else pca.dimensions
    check_dimensions("--truncate", config.truncate, dimensions)
    IndexConfig(kind=options.index).check(config.truncate or dimensions)
    if store:
        return store, load_model(options, extraction, store), read_image(options.photo), ()
    photos, photo = scan(options.folder), read_image(options.photo)
    model = load_model(options, extraction)
    path = cached_store_path(model, photos, pca)
    show(f"{options.folder}: the features are kept in {path}", error=True)
    store = update_cached_store(model, photos, pca)
    report = store.report
    if report.extracted or report.removed:
        counts = f"{len(report.extracted)} extracted, {len(report.kept)} kept, "
        show(f"photos: {counts}{len(report.removed)} removed", error=True)
    if photos.skipped:
        show(photos.skipped_summary, error=True)
    return store, model, photo, photos.skipped


def _load_photo(store: FeatureStore, name: str) -> Photo:
    """Read a photo of a store from the folder from which its features were extracted."""
    source = store.source(name)
    if source is None:
        raise PhotoError(f"{store.path}: the folder of photo {name!r} is not recorded")
    return read_image(Path(source.folder) / name)


def _load_or_build(database: Database, store: FeatureStore, options: argparse.Namespace) -> Index:
    """Load the saved index if there is one and the options allow it. Otherwise build an index."""
    if (options.features, options.truncate, options.index) != (None, None, "auto"):
        return build_index(database.descriptors, options.index)
    if store.path != options.folder:  # a store in the cache
        return cached_index(database, store.path)
    path = default_index(store.path)
    if path.exists():
        return load_index(path, database=database.checksum)
    return build_index(database.descriptors)


def match_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax match``."""
    parser.add_argument("photos", nargs=2, type=Path, metavar="PHOTO", help="photos to match")
    store = "use the model and PCA of this feature store; by default, fit a PCA to the two photos"
    parser.add_argument("--store", type=Path, help=store)
    figure = "save a figure of the inliers to this file (.png, .pdf, ...)"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    shared.add_model_options(parser, of_store=True)
    shared.add_json_option(parser)
    advanced = parser.add_argument_group(shared.ADVANCED)
    distance = "largest L2 distance between matching descriptors, 0 to 2"
    shared.add_number(advanced, "--max-distance", MAX_DISTANCE, DISTANCE, distance)
    ratio = "largest ratio of the distances to the nearest and second nearest neighbor; 1 keeps all"
    shared.add_number(advanced, "--ratio", 1.0, RATIO, ratio)
    shared.add_backend_option(advanced)
    shared.add_fields(advanced, *shared.EXTRACTION, RansacConfig())


def match(options: argparse.Namespace) -> int:
    """Run ``delfjax match``."""
    check_outputs(options)
    configured = shared.extraction_config(options)
    ransac = shared.read_config(options, RansacConfig())
    if options.store:
        check_unchanged(options.store, configured)
    photos = [read_image(path) for path in options.photos]
    store = open_store(options.store) if options.store else None
    model, pca = load_model(options, configured, store), store.pca if store else None
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
    affine = "affine    none, because no matches agree"
    if pair.num_inliers:
        numbers = np.array2string(pair.affine, precision=4, suppress_small=True)
        affine = f"affine    from (y, x, 1) of the first photo to (y, x) of the second\n{numbers}"
    extraction, name = config_to_dict(model.config), model.name
    config = {"model": name, "extraction": extraction, **limits, "ransac": asdict(ransac)}
    text = (
        f"features  {len(features[0])} and {len(features[1])}\n"
        f"matches   {len(pair.matches)}\n"
        f"inliers   {pair.num_inliers}\n"
        f"verdict   {pair.verdict.text}\n{affine}"
    )

    def save_figure() -> None:
        from delfjax import plots  # a slow import

        plots.matches(photos[0], photos[1], pair).save(options.figure)

    return print_result(options, result | describe(config), text, figure=save_figure)
