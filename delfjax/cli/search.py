"""The command ``delfjax search``, which finds photos of the place of a query photo."""

import argparse
import shlex
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from delfjax.cli.extract import check_unchanged, default_index, load_model, open_store
from delfjax.cli.options import (
    add_advanced_group,
    add_backend_option,
    add_extraction_options,
    add_index_option,
    add_json_option,
    add_model_options,
    add_number,
    add_pca_options,
    add_search_options,
    extraction_config,
    pca_config,
    search_config,
)
from delfjax.cli.output import OK, check_outputs, list_failures, print_result, show
from delfjax.features.database import Database
from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.store import FeatureStore, is_store
from delfjax.files import printable
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError, read_image
from delfjax.ranges import COUNT, check_dimensions
from delfjax.search.index import Index, IndexConfig, build_index, load_index
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
    add_number(parser, "--top", 10, COUNT, "number of results")
    add_model_options(parser, of_store=True)
    add_backend_option(parser)
    add_json_option(parser)
    advanced = add_advanced_group(parser)
    add_extraction_options(advanced)
    add_pca_options(advanced)
    add_index_option(advanced)
    add_search_options(advanced)


def search(options: argparse.Namespace) -> int:
    """Run ``delfjax search``."""
    check_outputs(options, default_index(options.folder))
    config = search_config(options)
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
        int(image): {"score": int(score), "inliers": int(inliers), "votes": int(votes)}
        for image, score, inliers, votes in numbers
        if database.names[image] not in copies
    }
    found, lines = [], [f"{'verdict':30} score inliers votes  photo"]
    for image, row in list(rows.items())[: options.top]:
        name, verdict = database.names[image], result.verdicts.get(image)
        found.append({"photo": name, "verdict": verdict and asdict(verdict)} | row)
        text = verdict.text if verdict else "not verified"
        counts = f"{row['score']:5} {row['inliers']:7} {row['votes']:5}"
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
        raise PhotoError(f"{store.path}: the folder of {name!r} is unknown")
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
