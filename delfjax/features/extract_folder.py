"""Extract the local features of every photo of a folder into a `FeatureStore`.

Photos that cannot be read are reported and skipped. An interrupted run continues where it stopped.
The PCA (Sec. 4.3) is learned first, from a sample of the photos. With a Dask client, workers
extract the photos and this process writes the store. The store is then the same as without workers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, map_in_order
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.handcrafted import HandcraftedConfig, HandcraftedSpec
from delfjax.features.pca import PAPER_DIMENSIONS, PCA
from delfjax.features.store import ExtractionReport, FeatureStore
from delfjax.images.reading import PhotoError, PhotoFolder, iter_photos, scan
from delfjax.models.resnet import ResNetSpec
from delfjax.types import Features, Photo

CHUNK_PHOTOS = 16  # photos per task of a worker; if a worker dies, its task is repeated

Extracted = Iterator[tuple[str, Features | PhotoError]]
Extract = Callable[[list[str], PCA | None], Extracted]  # from photo names and the PCA, if known


@runtime_checkable
class LocalExtractor(Protocol):
    """Interface of a model that turns photos into local features.

    `delfjax.features.extraction.Extractor` (a network) and
    `delfjax.features.handcrafted.HandcraftedExtractor` (SIFT) implement it.

    Attributes:
        name: Name of the model or of the handcrafted descriptor, such as ``"delf_att"``.
        spec: Description of the backbone or of the handcrafted descriptor.
        config: Configuration of the extraction.
        checksum: Identifies everything else that determines the features, such as the weights.
    """

    name: str
    spec: ResNetSpec | HandcraftedSpec
    config: ExtractionConfig | HandcraftedConfig
    checksum: str

    def __call__(self, photo: Photo) -> Features:
        """Extract the features of a photo, highest score first."""

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract many photos, in order. Errors in the input are yielded unchanged."""

    def with_config(self, config: ExtractionConfig) -> Self:
        """Return the same model with another configuration."""


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
        database: Pattern of file names, such as ``"base_*"``. Only matching photos are used to
            learn the PCA. Exclude the queries of a benchmark this way.
    """

    dimensions: int = PAPER_DIMENSIONS
    whiten: bool = False
    photos: int = 200
    features: int = 250
    seed: int = 0
    database: str = "*"


def store_settings(model: LocalExtractor, pca: PCAConfig) -> dict[str, Any]:
    """Return everything that determines the features in a store: `FeatureStore.made_by`."""
    return {
        "backbone": model.spec.name,
        "model": model.checksum,
        "extraction": asdict(model.config),
        "reduction": asdict(pca),
    }


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
        client: Client of a Dask cluster whose workers extract the photos. By default this process
            does.

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
    store = FeatureStore(path, store_settings(model, config))
    if all(name in store for name in photos.names):  # no lock: another process may be writing
        store.report = ExtractionReport(kept=list(photos.names))
        return store
    extract = partial(_extract_on_workers, client) if client else _extract
    with store:
        _fill(store, photos, config, partial(extract, model, photos))
    return store


def _extract(
    model: LocalExtractor, photos: PhotoFolder, names: list[str], pca: PCA | None
) -> Extracted:
    """Extract photos in this process. Reduce their descriptors if the PCA is known."""
    for name, features in model.stream(iter_photos(photos, names)):
        failed = isinstance(features, PhotoError)
        yield name, features if failed else _reduce(_round_to_half(features), pca)


def _extract_on_workers(
    client: Client, model: LocalExtractor, photos: PhotoFolder, names: list[str], pca: PCA | None
) -> Extracted:
    """Extract photos on the workers of a cluster, in order."""
    chunks = (names[start : start + CHUNK_PHOTOS] for start in range(0, len(names), CHUNK_PHOTOS))
    shared = model, replace(photos, names=()), pca  # a chunk brings its own names
    for chunk in map_in_order(client, _extract_chunk, chunks, *shared):
        yield from chunk


def _extract_chunk(
    names: list[str], model: LocalExtractor, photos: PhotoFolder, pca: PCA | None
) -> list[tuple[str, Features | PhotoError]]:
    return list(_extract(model, photos, names, pca))


def _fill(store: FeatureStore, photos: PhotoFolder, config: PCAConfig, extract: Extract) -> None:
    """Extract the missing photos into an entered store, and report all."""
    report = store.report = ExtractionReport(kept=[n for n in photos.names if n in store])
    if store.pca is None:
        _learn_pca(store, photos, config, extract)
    missing = [n for n in photos.names if n not in store and n not in report.failed]
    bar = tqdm(total=len(photos), initial=len(photos) - len(missing), desc="extract", unit="photo")
    for name, features in _readable(extract(missing, store.pca), report, bar):
        store.write(name, features)
    bar.close()


def _readable(
    extracted: Extracted, report: ExtractionReport, bar: tqdm
) -> Iterator[tuple[str, Features]]:
    """Yield the features of readable photos. Add every photo to the report."""
    for name, features in extracted:
        bar.update()
        if isinstance(features, PhotoError):
            report.failed[name] = features
        else:
            report.extracted.append(name)
            yield name, features


def _learn_pca(
    store: FeatureStore, photos: PhotoFolder, config: PCAConfig, extract: Extract
) -> None:
    """Learn the PCA from a random sample of photos, and write the features of these photos."""
    random = np.random.default_rng(config.seed)
    candidates = photos.select(config.database)
    if not len(candidates):
        raise ValueError(
            f"{photos.root}: no photo's file name matches {config.database!r}, the pattern of "
            "photos for the PCA. Fix: use another pattern"
        )
    count = min(config.photos, len(candidates))
    shuffled = iter(random.permutation(candidates.names).tolist())
    bar = tqdm(total=count, desc="learn PCA", unit="photo")
    sample: dict[str, Features] = {}
    while names := list(
        islice(shuffled, count - len(sample))
    ):  # replace unreadable photos by others
        sample |= _readable(extract(names, None), store.report, bar)
    bar.close()
    if not sample:
        raise next(iter(store.report.failed.values()))
    rows = [_choose_rows(each.descriptors, config.features, random) for each in sample.values()]
    store.pca = pca = PCA.fit(
        np.concatenate(rows), dimensions=config.dimensions, whiten=config.whiten, seed=config.seed
    )
    for name, features in sample.items():
        store.write(name, _reduce(features, pca))


def _choose_rows(
    descriptors: Float[np.ndarray, "n c"], count: int, random: np.random.Generator
) -> Float[np.ndarray, "s c"]:
    """Return at most ``count`` descriptors, chosen at random, in single precision."""
    rows = random.permutation(len(descriptors))[:count]
    return descriptors[rows].astype(np.float32)


def _round_to_half(features: Features) -> Features:
    """Round descriptors to half precision.

    This halves the memory of the photos that wait for the PCA: 2 MB each. Photos that are extracted
    after the PCA are rounded too, so that an interrupted run gives the same store.
    """
    return features.with_descriptors(features.descriptors.astype(np.float16))


def _reduce(features: Features, pca: PCA | None) -> Features:
    if pca is None:
        return features
    return features.with_descriptors(pca(features.descriptors.astype(np.float32)))
