"""Keep the features of a folder of photos, and its index if it is large, in the cache folder.

A person can then search a folder without managing feature stores. Each call notices new, changed
and removed photos. The paper does not cover this.
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
    """Return the path of the feature store of a folder of photos in the cache.

    Its name contains a checksum of the folder's path, the model, and the settings of extraction and
    PCA. A store learns its PCA only once, and a PCA of a few photos is worse. Therefore, a small folder
    gets a new store when it has grown to 2, 8, 32 or 128 photos.
    """
    root, config = photos.root.resolve(), config or PCAConfig()
    size = min(len(photos), config.photos).bit_length() // 2
    settings = config_to_dict(model.config), config_to_dict(config), size, FEATURES
    key = json.dumps([str(root), model.checksum, *settings])
    return cache_folder() / "stores" / f"{root.name[:NAME_LENGTH]}-{digest(key)[:12]}"


def update_cached_store(
    model: LocalExtractor, photos: PhotoFolder, config: PCAConfig | None = None
) -> FeatureStore:
    """Bring the features of a folder of photos in the cache up to date, and return their store.

    Features of new and changed photos are extracted, and those of removed photos are deleted. If a run
    is interrupted, the next call continues. Arguments: see `extract_folder`.

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
    """Load the index that was saved for a feature store. Build it if there is none for its photos.

    A new index is saved, except an exact index, which takes no time to build. ``store`` is the path of
    the store, and ``database`` holds its features.
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
