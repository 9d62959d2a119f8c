"""Extract the local features of every photo of a folder into a `FeatureStore`.

Photos that cannot be read are reported and skipped. If a run is interrupted, the next run continues
where it stopped. A PCA reduces the descriptors (Sec. 4.3). It is learned first, from a random
sample of the photos. Until it is learned, the store holds descriptors that are not reduced.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain, islice
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, map_in_order
from delfjax.features.extraction import Extractor
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.features.pca import PAPER_DIMENSIONS, PCA
from delfjax.features.store import ExtractionReport, FeatureStore, is_store
from delfjax.files import StoreError
from delfjax.images.folder import PhotoFolder, PhotoSource, iter_photos, scan
from delfjax.images.reading import PhotoError
from delfjax.provenance import config_to_dict
from delfjax.ranges import COUNT, SEED, check_dimensions, check_fields
from delfjax.types import Features, Photo

CHUNK_PHOTOS = 16  # photos per task of a worker; if a worker dies, its task is repeated

LocalExtractor = Extractor | HandcraftedExtractor
"""A model that computes local features of a photo: a neural network, SIFT or RootSIFT."""


@runtime_checkable
class StreamExtractor(Protocol):
    """Interface of the models that extract features: `LocalExtractor` and ``GlobalExtractor``."""

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract the features of named photos, in order. Yield each `PhotoError` unchanged."""
        ...


@dataclass(frozen=True, kw_only=True)
class PCAConfig:
    """Settings for learning the PCA that reduces the descriptors of a store.

    The paper does not state from how many photos and features its PCA is learned.

    Attributes:
        dimensions: Number of dimensions of a reduced descriptor (Sec. 4.3: 40).
        whiten: Whether to divide each dimension by its standard deviation. The paper does not.
        photos: Maximum number of photos to learn from. They are chosen at random.
        features: Maximum number of features to use per photo.
        sample: Which features of a photo to use: the ``"best"``, which have the highest scores, or
            ``"random"`` ones. The best features are more often on landmarks. Saved settings that
            lack this field use ``"random"``.
        seed: Random seed for choosing photos and features.
        database: Glob pattern for the file names of the photos to learn from, such as ``"base_*"``.
            Use it to exclude the queries of a benchmark.
    """

    dimensions: int = PAPER_DIMENSIONS
    whiten: bool = False
    photos: int = 200
    features: int = 100
    sample: Literal["best", "random"] = field(default="best", metadata={"missing": "random"})
    seed: int = 0
    database: str = "*"

    def __post_init__(self) -> None:
        check_fields(self, dimensions=COUNT, photos=COUNT, features=COUNT, seed=SEED)


def extract_folder(
    model: LocalExtractor,
    photos: PhotoFolder | Path | str,
    path: Path | str,
    *,
    config: PCAConfig | None = None,
    client: Client | None = None,
) -> FeatureStore:
    """Extract the features of new and changed photos of a folder into a store.

    A photo has changed if the content of its file is not the same as at its extraction. The first call
    learns the PCA, and later calls use the same PCA. Photos that are no longer in the folder stay in the
    store; `FeatureStore.remove` removes them.

    Args:
        model: Model that extracts the features.
        photos: Folder of photos. A string or ``Path`` includes the photos of all sub-folders.
        path: Folder of the store.
        config: Settings for learning the PCA. None: the defaults.
        client: Client of a Dask cluster. Its workers then extract the features, with equal results.

    Returns:
        The store. Its ``report`` lists the photos that were extracted, kept, or not readable.

    Raises:
        StoreError: If the store was made with another model or configuration, or if another process
            writes to the store. Also if two different photos in two folders have the same name.
        PhotoError: If the folder cannot be read, or if none of the photos for the PCA can be read.
        ConfigError: If ``config.dimensions`` exceeds the number of dimensions of a descriptor.
        ValueError: If no photo matches ``config.database``, or the PCA has too few descriptors.
    """
    photos = photos if isinstance(photos, PhotoFolder) else scan(photos)
    config = config or PCAConfig()
    check_dimensions("dimensions", config.dimensions, model.dimensions)
    made_by = {
        "backbone": model.spec.name if isinstance(model, Extractor) else model.name,
        "model": model.checksum,
        "extraction": config_to_dict(model.config),
        "reduction": config_to_dict(config),
    }
    if not is_store(Path(path)):
        _pca_photos(photos, config)  # an error must leave no store behind
    return update_store(FeatureStore(path, made_by), model, photos, config, client)


def update_store(
    store: FeatureStore,
    model: StreamExtractor,
    photos: PhotoFolder,
    config: PCAConfig | None = None,
    client: Client | None = None,
) -> FeatureStore:
    """Extract the features of new and changed photos into a store.

    Arguments, result and errors: see `extract_folder`, with two differences. ``model`` may also
    compute global descriptors. ``config=None`` means that the descriptors are not reduced.
    """
    sources = store.sources
    recorded = {name: sources[name] for name in photos.names if name in sources}
    current = photos.current_sources(recorded)
    changed = recorded.keys() - current.keys()
    moved = {n: source for n, source in current.items() if source and source != recorded[n]}
    # No lock if nothing is missing: another process may be writing.
    if (config is None or store.pca is not None) and len(current) == len(photos):
        store.report = ExtractionReport(kept=list(photos.names))
        if moved:
            # A store that another process writes, or without permission, stays as it is.
            with suppress(StoreError, OSError), store:
                store.move(moved)
        return store
    with store, tqdm(total=len(photos), desc="extract", unit="photo") as bar:
        changed = set(filter(store.__contains__, changed))  # another process may have removed some
        _refuse_other_folder(store, photos, changed)
        store.remove(changed)
        store.move(moved)
        stored = set(store.names)
        report = store.report = ExtractionReport(kept=[n for n in photos.names if n in stored])
        bar.update(len(report.kept))

        def extract(names: Iterable[str], pca: PCA | None) -> None:
            """Write the features of readable photos into the store. Report every photo."""
            for name, source, features in _extract(names, model, photos, pca, client):
                bar.update()
                if isinstance(features, PhotoError):
                    report.failed[name] = features
                    continue
                report.extracted.append(name)
                if name in changed:
                    report.changed.append(name)
                store.write(name, features, source=source)

        if config is not None and store.pca is None:
            store.reduce(_learn_pca(store, photos, config, extract))
        stored = set(store.names) | report.failed.keys()
        extract([n for n in photos.names if n not in stored], store.pca)
    return store


def _refuse_other_folder(store: FeatureStore, photos: PhotoFolder, changed: Iterable[str]) -> None:
    """Raise an error if a photo would replace another one, of the same name in another folder."""
    root = photos.root.resolve()
    for name in sorted(changed):
        source = store.source(name)
        other = Path(source.folder) if source else root
        if other != root and (other / photos.path(name).relative_to(photos.root)).is_file():
            raise StoreError(
                f"{store.path}: this store holds the photo {name!r} of the folder {other}. "
                f"{root} has a different photo with this name. Fix: use another store for {root}"
            )


def _extract(
    names: Iterable[str],
    model: StreamExtractor,
    photos: PhotoFolder,
    pca: PCA | None,
    client: Client | None = None,
) -> Iterator[tuple[str, PhotoSource | None, Features | PhotoError]]:
    """Extract photos here or on a cluster. Reduce their descriptors if the PCA is known.

    Before the reduction, descriptors are rounded to half precision, like the stored sample for the
    PCA. So an interrupted run gives the same store.
    """
    if client:
        names = list(names)
        chunks = (names[i : i + CHUNK_PHOTOS] for i in range(0, len(names), CHUNK_PHOTOS))
        shared = model, replace(photos, names=()), pca  # a chunk brings its own names
        found = map_in_order(client, lambda *task: list(_extract(*task)), chunks, *shared)
        yield from chain.from_iterable(found)
        return
    sources: dict[str, PhotoSource | None] = {}
    for name, features in model.stream(iter_photos(photos, names, sources)):
        if pca is not None and not isinstance(features, PhotoError):
            half = features.descriptors.astype(np.float16).astype(np.float32)
            features = features.with_descriptors(pca(half))
        yield name, sources.pop(name, None), features


def _learn_pca(
    store: FeatureStore,
    photos: PhotoFolder,
    config: PCAConfig,
    extract: Callable[[list[str], None], None],
) -> PCA:
    """Extract a random sample of photos into a store, and learn the PCA from their features."""
    random = np.random.default_rng(config.seed)
    used: list[str] = []
    remaining = iter(random.permutation(_pca_photos(photos, config)).tolist())
    # Unreadable photos are replaced by others.
    while names := list(islice(remaining, config.photos - len(used))):
        extract([name for name in names if name not in store], None)
        used += [name for name in names if name in store]
    if not used:
        raise next(iter(store.report.failed.values()))
    store.flush()  # learning takes a while
    rows = []
    for name in used:
        descriptors = store.read(name).descriptors  # highest score first
        if config.sample == "random":
            descriptors = descriptors[random.permutation(len(descriptors))]
        rows.append(descriptors[: config.features])
    if not any(map(len, rows)):
        raise ValueError(
            f"{photos.root}: no feature was found in {len(used)} photos, so no PCA can be learned. "
            "Fix: use photos with visible content"
        )
    return PCA.fit(
        np.concatenate(rows), dimensions=config.dimensions, whiten=config.whiten, seed=config.seed
    )


def _pca_photos(photos: PhotoFolder, config: PCAConfig) -> list[str]:
    """Return the names of the photos from which the PCA may be learned."""
    names = [n for n in photos.names if fnmatchcase(Path(n).name, config.database)]
    if not names:
        raise ValueError(
            f"{photos.root}: no file name matches {config.database!r}, so there are no photos to "
            "learn the PCA from. Fix: change the pattern (PCAConfig.database, --database)"
        )
    return names
