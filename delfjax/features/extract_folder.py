"""A folder of photos becomes a store of features: long, resumable, and never stopped by a bad photo.

On a cluster (`delfjax.features.cluster`) workers extract parts of the folder, and the caller writes what comes back, in
the order of the names: the store is that of one process.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.features.cluster import Client, in_parts
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.handcrafted import HandcraftedConfig, HandcraftedSpec
from delfjax.features.pca import PAPER_DIMENSIONS, PCA
from delfjax.features.store import FeatureStore
from delfjax.images.reading import PhotoError, PhotoFolder, iter_photos
from delfjax.models.resnet import ResNetSpec
from delfjax.types import Features, Photo

PART = 16  # photos that a worker extracts at a time: what its death may cost; not in the paper

Extracted = Iterator[tuple[str, Features | PhotoError]]
Source = Callable[[list[str], PCA | None], Extracted]


@runtime_checkable
class LocalExtractor(Protocol):
    """What makes local features of photos: `delfjax.features.extraction.Extractor`, or a handcrafted one.

    Attributes:
        name: Name of the model or of the handcrafted descriptor, such as ``"delf_att"``.
        spec: Describes the backbone or the handcrafted descriptor.
        config: Configuration of the extraction.
        checksum: Identifies everything else that determines the features, such as the weights.
    """

    name: str
    spec: ResNetSpec | HandcraftedSpec
    config: ExtractionConfig | HandcraftedConfig
    checksum: str

    def __call__(self, photo: Photo) -> Features:
        """Extract a photo's features, best score first."""

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract photo after photo; errors pass through."""

    def with_config(self, config: ExtractionConfig) -> Self:
        """Return the same model with another configuration."""


@dataclass(frozen=True, kw_only=True)
class PCAConfig:
    """How a collection's PCA is learned.

    Attributes:
        dimensions: Of a reduced descriptor (Sec. 4.3: 40).
        whiten: Whether to whiten.
        photos: It is learned from this many photos, drawn at random. Not in the paper.
        features: And from this many features of each, likewise.
        seed: Of the draws.
        database: Photos are drawn from those with such a file name: queries must stay out.
    """

    dimensions: int = PAPER_DIMENSIONS
    whiten: bool = False
    photos: int = 200
    features: int = 250
    seed: int = 0
    database: str = "*"


@dataclass(kw_only=True)
class Report:
    """What became of each photo of a folder."""

    extracted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, PhotoError] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        """Take over what another report says, each photo once."""
        known = {*self.extracted, *self.kept}
        self.extracted += [name for name in other.extracted if name not in known]
        self.kept += [name for name in other.kept if name not in known]
        self.failed |= other.failed


def made_by(extractor: LocalExtractor, pca: PCAConfig) -> dict[str, Any]:
    """Return all that determines a store's features."""
    return {
        "backbone": extractor.spec.name,
        "model": extractor.checksum,
        "extraction": asdict(extractor.config),
        "reduction": asdict(pca),
    }


def extract_folder(
    extractor: LocalExtractor,
    photos: PhotoFolder,
    path: Path | str,
    *,
    config: PCAConfig | None = None,
    client: Client | None = None,
) -> tuple[FeatureStore, Report]:
    """Extract the features of every photo that the store does not hold yet.

    Args:
        extractor: Model and selection.
        photos: The photos.
        path: The store's folder.
        config: How the PCA is learned.
        client: Of a Dask cluster that extracts; None: this process does. The store is the same.

    Returns:
        The store, and what became of each photo: broken ones are listed, not raised.

    Raises:
        StoreError: If the store was made by another model or configuration, or if another process is
            writing to it.
    """
    config = config or PCAConfig()
    store = FeatureStore(path, made_by(extractor, config))
    if all(name in store for name in photos.names):  # then it need not be written, nor be free to
        return store, Report(kept=list(photos.names))
    source = partial(_by_workers, client) if client else extracted
    with store:
        return store, _fill(store, partial(source, extractor, photos), photos, config)


def extracted(
    extractor: LocalExtractor,
    photos: PhotoFolder,
    names: Iterable[str],
    pca: PCA | None = None,
) -> Extracted:
    """Extract photos, and reduce their descriptors if the PCA is known already; errors pass through."""
    for name, found in extractor.stream(iter_photos(photos, names)):
        yield name, found if isinstance(found, PhotoError) else _reduced(_halved(found), pca)


def _by_workers(
    client: Client,
    extractor: LocalExtractor,
    photos: PhotoFolder,
    names: list[str],
    pca: PCA | None = None,
) -> Extracted:
    parts = (names[start : start + PART] for start in range(0, len(names), PART))
    shared = extractor, replace(photos, names=()), pca
    for part in in_parts(client, _part, parts, *shared):
        yield from part


def _part(
    names: list[str], extractor: LocalExtractor, photos: PhotoFolder, pca: PCA | None
) -> list[tuple[str, Features | PhotoError]]:
    return list(extracted(extractor, photos, names, pca))


def _fill(store: FeatureStore, source: Source, photos: PhotoFolder, config: PCAConfig) -> Report:
    """Extract what the store lacks; an error or an interrupt loses no photo that is ready."""
    report = Report(kept=[name for name in photos.names if name in store])
    if store.pca is None:
        _learn_pca(source, photos, store, config, report)
    waiting = [n for n in photos.names if n not in store and n not in report.failed]
    bar = tqdm(total=len(photos), initial=len(photos) - len(waiting), desc="extract", unit="photo")
    for name, features in _reported(source(waiting, store.pca), report, bar):
        store.write(name, features)
    bar.close()
    return report


def _reported(found: Extracted, report: Report, bar: tqdm) -> Iterator[tuple[str, Features]]:
    """Yield the features of the photos that could be read; report those that could not."""
    for name, features in found:
        bar.update()
        if isinstance(features, PhotoError):
            report.failed[name] = features
        else:
            report.extracted.append(name)
            yield name, features


def _learn_pca(
    source: Source,
    photos: PhotoFolder,
    store: FeatureStore,
    config: PCAConfig,
    report: Report,
) -> None:
    """Fit the PCA on some photos of the database, and keep their features so as not to redo them."""
    random = np.random.default_rng(config.seed)
    database = photos.select(config.database)
    if not len(database):
        raise ValueError(f"{photos.root}: no photo's file name matches {config.database!r}")
    count = min(config.photos, len(database))
    drawn = iter(random.permutation(database.names).tolist())
    bar = tqdm(total=count, desc="learn PCA", unit="photo")
    whole: dict[str, Features] = {}
    while names := list(islice(drawn, count - len(whole))):  # again in place of the broken ones
        whole |= _reported(source(names, None), report, bar)
    bar.close()
    if not whole:
        raise next(iter(report.failed.values()))
    sample = [_sample(features.descriptors, config.features, random) for features in whole.values()]
    store.pca = pca = PCA.fit(
        np.concatenate(sample),
        dimensions=config.dimensions,
        whiten=config.whiten,
        seed=config.seed,
    )
    for name, features in whole.items():
        store.write(name, _reduced(features, pca))


def _halved(features: Features) -> Features:
    """Round descriptors to half precision: while the PCA waits for them, 2 MB a photo instead of 4.

    Those that need not wait are rounded too, so that a run cut short and taken up gives the same store.
    """
    return features.with_descriptors(features.descriptors.astype(np.float16))


def _reduced(features: Features, pca: PCA | None) -> Features:
    if pca is None:
        return features
    return features.with_descriptors(pca(features.descriptors.astype(np.float32)))


def _sample(
    descriptors: Float[np.ndarray, "n c"], count: int, random: np.random.Generator
) -> Float[np.ndarray, "s c"]:
    rows = random.permutation(len(descriptors))[:count]
    return descriptors[rows].astype(np.float32)
