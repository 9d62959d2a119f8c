"""Extract the local features of every photo of a folder into a `FeatureStore`.

Photos that cannot be read are reported and skipped. An interrupted run continues where it stopped.
The PCA (Sec. 4.3) is learned first, from a sample of the photos.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain, islice
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, map_in_order
from delfjax.features.extraction import Extractor
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.features.pca import PAPER_DIMENSIONS, PCA
from delfjax.features.store import ExtractionReport, FeatureStore
from delfjax.images.reading import PhotoError, PhotoFolder, iter_photos, scan
from delfjax.types import Features

CHUNK_PHOTOS = 16  # photos per task of a worker; if a worker dies, its task is repeated

LocalExtractor = Extractor | HandcraftedExtractor
"""A model that turns photos into local features: a network, or SIFT."""


@dataclass(frozen=True, kw_only=True)
class PCAConfig:
    """How the PCA of a store is learned.

    The paper does not say how many descriptors its PCA is learned from. These numbers are ours.

    Attributes:
        dimensions: Number of dimensions of a reduced descriptor (Sec. 4.3: 40).
        whiten: Whether to divide each dimension by its standard deviation. The paper does not.
        photos: Number of photos to learn from, chosen at random.
        features: Number of features per photo to learn from, chosen at random.
        seed: Random seed of both choices.
        database: Pattern of the file names of the photos to learn from, such as ``"base_*"``. Use
            it to leave out the queries of a benchmark.
    """

    dimensions: int = PAPER_DIMENSIONS
    whiten: bool = False
    photos: int = 200
    features: int = 250
    seed: int = 0
    database: str = "*"


def extract_folder(
    model: LocalExtractor,
    photos: PhotoFolder | Path | str,
    path: Path | str,
    *,
    config: PCAConfig | None = None,
    client: Client | None = None,
) -> FeatureStore:
    """Extract the features of all photos that the store does not contain yet.

    Args:
        model: Model that extracts the features.
        photos: Folder of photos. A path is searched for photos recursively.
        path: Folder of the store. It is created if it does not exist.
        config: How the PCA is learned.
        client: Client of a Dask cluster whose workers extract the photos. The store is the same.
            By default this process extracts them.

    Returns:
        The store. Its ``report`` lists the photos that were extracted, kept, and failed.

    Raises:
        StoreError: If the store was made with another model or configuration, or if another process
            writes to it.
        PhotoError: If the folder cannot be read, or if none of the photos for the PCA can be read.
        ValueError: If no photo matches ``config.database``, or if the photos have too few
            descriptors for the PCA.
    """
    photos = photos if isinstance(photos, PhotoFolder) else scan(photos)
    config = config or PCAConfig()
    made_by = {
        "backbone": model.spec.name if isinstance(model, Extractor) else model.name,
        "model": model.checksum,
        "extraction": asdict(model.config),
        "reduction": asdict(config),
    }
    store = FeatureStore(path, made_by)
    if all(name in store for name in photos.names):  # no lock: another process may be writing
        store.report = ExtractionReport(kept=list(photos.names))
        return store
    with store, tqdm(total=len(photos), desc="extract", unit="photo") as bar:
        store.report = ExtractionReport(kept=[n for n in photos.names if n in store])
        bar.update(len(store.report.kept))

        def extract(names: list[str], pca: PCA | None) -> Iterator[tuple[str, Features]]:
            """Yield the features of readable photos. Report every photo."""
            for name, features in _extract(names, model, photos, pca, client):
                bar.update()
                if isinstance(features, PhotoError):
                    store.report.failed[name] = features
                else:
                    store.report.extracted.append(name)
                    yield name, features

        if store.pca is None:
            _learn_pca(store, photos, config, extract)
        missing = [n for n in photos.names if n not in store and n not in store.report.failed]
        for name, features in extract(missing, store.pca):
            store.write(name, features)
    return store


def _extract(
    names: list[str],
    model: LocalExtractor,
    photos: PhotoFolder,
    pca: PCA | None,
    client: Client | None = None,
) -> Iterator[tuple[str, Features | PhotoError]]:
    """Extract photos here or on a cluster. Reduce their descriptors if the PCA is known.

    Descriptors are rounded to half precision first, because many photos wait for the PCA in memory.
    Later photos are rounded too, so that an interrupted run gives the same store.
    """
    if client:
        chunks = (names[i : i + CHUNK_PHOTOS] for i in range(0, len(names), CHUNK_PHOTOS))
        shared = model, replace(photos, names=()), pca  # a chunk brings its own names
        found = map_in_order(client, lambda *task: list(_extract(*task)), chunks, *shared)
        yield from chain.from_iterable(found)
        return
    for name, features in model.stream(iter_photos(photos, names)):
        if not isinstance(features, PhotoError):
            features = features.with_descriptors(features.descriptors.astype(np.float16))
            features = features if pca is None else _reduce(features, pca)
        yield name, features


def _learn_pca(
    store: FeatureStore,
    photos: PhotoFolder,
    config: PCAConfig,
    extract: Callable[[list[str], None], Iterator[tuple[str, Features]]],
) -> None:
    """Learn the PCA from a random sample of photos, and write the features of these photos."""
    random = np.random.default_rng(config.seed)
    candidates = [n for n in photos.names if fnmatchcase(Path(n).name, config.database)]
    if not candidates:
        raise ValueError(
            f"{photos.root}: no file name matches {config.database!r}, the pattern that selects the photos "
            "from which the PCA is learned. Fix: change the pattern (--database)"
        )
    shuffled = iter(random.permutation(candidates).tolist())
    sample: dict[str, Features] = {}
    # Unreadable photos are replaced by others.
    while names := list(islice(shuffled, config.photos - len(sample))):
        sample |= extract(names, None)
    if not sample:
        raise next(iter(store.report.failed.values()))
    rows = [
        each.descriptors[random.permutation(len(each))[: config.features]].astype(np.float32)
        for each in sample.values()
    ]
    store.pca = pca = PCA.fit(
        np.concatenate(rows), dimensions=config.dimensions, whiten=config.whiten, seed=config.seed
    )
    for name, features in sample.items():
        store.write(name, _reduce(features, pca))


def _reduce(features: Features, pca: PCA) -> Features:
    return features.with_descriptors(pca(features.descriptors.astype(np.float32)))
