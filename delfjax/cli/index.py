"""The commands ``delfjax index`` and ``delfjax search``: an index is built once, kept, and asked (Sec. 4.4).

It is kept beside its store, with the checksum of the database that it was built over: of the photos' names and
of their descriptors, and so of the model. No other database is searched with it.
"""

import argparse
import time
from pathlib import Path

from delfjax import provenance
from delfjax.cli.networks import extractor_of
from delfjax.cli.options import (
    index_option,
    json_option,
    search_config,
    search_options,
    trained_options,
)
from delfjax.cli.output import OK, answer
from delfjax.features.database import Database
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError
from delfjax.images.reading import read_image
from delfjax.search.exact import ExactIndex
from delfjax.search.index import (
    EXACT_LIMIT,
    KINDS,
    NEIGHBORS,
    Index,
    build_index,
    load_index,
)
from delfjax.search.index_files import MANIFEST, IndexFileError
from delfjax.search.searcher import Searcher


def index_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax index`` takes."""
    sub.add_argument("store", type=Path, metavar="STORE")
    sub.add_argument(
        *("--kind", "--index"),
        choices=("auto", *KINDS),
        default="auto",
        help=f"auto: exact up to {EXACT_LIMIT:,} descriptors, then nndescent",
    )
    sub.add_argument(
        "--out", type=Path, metavar="FOLDER", help="of the index (default: STORE.index)"
    )
    json_option(sub)


def search_command_options(sub: argparse.ArgumentParser) -> None:
    """Add what ``delfjax search`` takes."""
    sub.add_argument("store", type=Path, metavar="STORE")
    sub.add_argument("photo", type=Path, metavar="PHOTO")
    sub.add_argument("--top", type=int, default=10, help="results to print")
    sub.add_argument(
        "--saved",
        type=Path,
        metavar="FOLDER",
        help="an index that `index` wrote (default: STORE.index if there, with --index auto)",
    )
    trained_options(sub)
    index_option(sub)
    search_options(sub)
    json_option(sub)


def index(options: argparse.Namespace) -> int:
    """Run ``delfjax index``."""
    database = filled(options.store).gather()
    start = time.perf_counter()
    built = build_index(database.descriptors, options.kind)
    seconds = time.perf_counter() - start
    path = options.out or _beside(options.store)
    built.save(path, database=database.checksum)
    k = min(NEIGHBORS, len(database.descriptors))
    recall = built.recall(database.descriptors, k, exact=ExactIndex(database.descriptors))
    result = {
        "kind": type(built).__name__,
        "photos": len(database),
        "descriptors": len(database.descriptors),
        "build_seconds": round(seconds, 2),
        f"recall_at_{k}": round(recall, 4),
        "saved": str(path),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }
    answer(options, result, "\n".join(f"{key:16} {value}" for key, value in result.items()))
    return OK


def search(options: argparse.Namespace) -> int:
    """Run ``delfjax search``."""
    store = filled(options.store)
    query = extractor_of(store, options)(read_image(options.photo))
    query = query.with_descriptors(store.pca(query.descriptors))
    config = search_config(options)
    database = config.load_database(store)
    ranking = Searcher(database, _index_of(database, options), config)(config.limit_features(query)).ranking
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


def filled(path: Path) -> FeatureStore:
    """Open a store to read from.

    Raises:
        StoreError: If there is none, or none that was ever filled.
    """
    store = FeatureStore(path)
    if not len(store):
        raise StoreError(f"{path}: holds no features yet; run: extract FOLDER {path}")
    return store


def _beside(store: Path) -> Path:
    return store.with_name(f"{store.name}.index")


def _index_of(database: Database, options: argparse.Namespace) -> Index:
    """Load the saved index, where one is there or asked for; build one elsewhere."""
    path = options.saved or _beside(options.store)
    whole = options.features is None and options.truncate is None  # as the saved one is
    fits = whole and options.index == "auto"
    if options.saved and not fits:
        raise ValueError(
            f"--saved {path}: a saved index is of whole descriptors and of one kind; leave out --saved, or "
            "--features, --truncate and --index"
        )
    if not (options.saved or (fits and (path / MANIFEST).exists())):
        return build_index(database.descriptors, options.index)
    try:
        return load_index(path, database=database.checksum)
    except IndexFileError as error:
        mend = f"delfjax index {options.store} --out {path}"
        raise IndexFileError(f"{error} ({mend}), or search by --index exact") from error
