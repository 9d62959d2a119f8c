"""Keep the features of a folder of photos in the cache, and an index if there are many features.

Each call notices new, changed and removed photos. So you need no feature store of your own.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from delfjax.features.database import Database
from delfjax.features.extract_folder import LocalExtractor, PCAConfig, extract_folder
from delfjax.features.store import FeatureStore
from delfjax.files import cache_folder, digest, sha256
from delfjax.images.folder import PhotoFolder
from delfjax.provenance import FEATURES, config_to_dict
from delfjax.search.index import Index, IndexFileError, build_index, load_index

NAME_LENGTH = 40  # characters of the photo folder's name in the name of its store


def cached_store_path(
    model: LocalExtractor, photos: PhotoFolder, config: PCAConfig | None = None
) -> Path:
    """Return the path, in the cache, of the feature store for a folder of photos.

    The name of the store contains a checksum of the path of the photos, the model, and the settings
    of extraction and PCA. A store learns its PCA only once, and a PCA learned from few photos is
    worse. So a small folder gets a new store when it has grown to 2, 8, 32 or 128 photos.
    """
    root, config = photos.root.resolve(), config or PCAConfig()
    size = min(len(photos), config.photos).bit_length() // 2
    settings = config_to_dict(model.config), config_to_dict(config), size, FEATURES
    key = json.dumps([str(root), model.checksum, *settings])
    return cache_folder() / "stores" / f"{root.name[:NAME_LENGTH]}-{digest(key)[:12]}"


def update_cached_store(
    model: LocalExtractor, photos: PhotoFolder, config: PCAConfig | None = None
) -> FeatureStore:
    """Update the feature store in the cache for a folder of photos, and return the store.

    Features of new and changed photos are extracted. Features of removed photos are deleted. If a
    run is interrupted, the next call continues. Arguments: see `extract_folder`.

    Returns:
        The store. Its ``report`` lists the photos that were extracted, kept, removed, or not readable.

    Raises:
        PhotoError: If no photo can be read.
        StoreError: If another process is extracting the same folder.
        ValueError: If the photos have too few features for the PCA.
    """
    store = extract_folder(model, photos, cached_store_path(model, photos, config), config=config)
    if gone := sorted({*store.names} - {*photos.names}):
        remove_photos(store, gone)
        store.report.removed = gone
    if not len(store):
        raise next(iter(store.report.failed.values()))
    return store


def remove_photos(store: FeatureStore, names: Sequence[str]) -> None:
    """Remove photos from a store. Another process may have removed them already."""
    with store:
        store.remove(name for name in names if name in store)


def cached_index(database: Database, store: Path) -> Index:
    """Load the saved index of a feature store. Build an index if none fits the current photos.

    A new index is saved, except an exact index, which takes no time to build. ``store`` is the path
    of the store, and ``database`` holds the features of the store.
    """
    path = store.with_name(f"{store.name}.index")
    with suppress(IndexFileError):  # missing, damaged, or built before the photos changed
        return load_index(path, database=database.checksum)
    index = build_index(database.descriptors)
    if index.kind != "exact":
        index.save(path, database=database.checksum)
    return index


def find_copies(store: FeatureStore, photo: Path) -> list[str]:
    """Return the names of the photos of a store whose file has the same content as ``photo``."""
    checksum = sha256(photo)
    return sorted(
        name
        for name, source in store.sources.items()
        if source and (source.sha256, source.box) == (checksum, None)
    )
