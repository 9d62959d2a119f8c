"""A folder of photos becomes a store of features: long, resumable, and never stopped by a bad photo."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.axes import Features, Photo
from delfjax.extraction import ExtractionConfig
from delfjax.handmade import HandmadeConfig, HandmadeSpec
from delfjax.photos import PhotoError, PhotoFolder, iter_photos
from delfjax.reduction import PAPER_DIMENSIONS, Reduction
from delfjax.resnet import ResNetSpec
from delfjax.store import FeatureStore


@runtime_checkable
class LocalExtractor(Protocol):
    """What makes local features of photos: `delfjax.extraction.Extractor`, or a hand-made one.

    Attributes:
        spec: Has the name of what makes them.
        config: How they are chosen.
        checksum: Of all else that determines them.
    """

    spec: ResNetSpec | HandmadeSpec
    config: ExtractionConfig | HandmadeConfig
    checksum: str

    def __call__(self, photo: Photo) -> Features:
        """Extract a photo's features, best score first."""

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract photo after photo; errors pass through."""


@dataclass(frozen=True, kw_only=True)
class ReductionConfig:
    """How a collection's PCA is learnt.

    Attributes:
        dimensions: Of a reduced descriptor (Sec. 4.3: 40).
        whiten: Whether to whiten.
        photos: It is learnt from this many photos, drawn at random. Not in the paper.
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


def made_by(extractor: LocalExtractor, reduction: ReductionConfig) -> dict[str, Any]:
    """Return all that determines a store's features."""
    return {
        "backbone": extractor.spec.name,
        "model": extractor.checksum,
        "extraction": asdict(extractor.config),
        "reduction": asdict(reduction),
    }


def extract_folder(
    extractor: LocalExtractor,
    photos: PhotoFolder,
    path: Path | str,
    *,
    config: ReductionConfig | None = None,
) -> tuple[FeatureStore, Report]:
    """Extract the features of every photo that the store does not hold yet.

    Args:
        extractor: Model and selection.
        photos: The photos.
        path: The store's folder.
        config: How the PCA is learnt.

    Returns:
        The store, and what became of each photo: broken ones are listed, not raised.

    Raises:
        StoreError: If the store was made by another model or configuration, or if another process is
            writing to it.
    """
    config = config or ReductionConfig()
    store = FeatureStore(path, made_by(extractor, config))
    if all(name in store for name in photos.names):  # then it need not be written, nor be free to
        return store, Report(kept=list(photos.names))
    with store:
        return store, _fill(store, extractor, photos, config)


def _fill(
    store: FeatureStore, extractor: LocalExtractor, photos: PhotoFolder, config: ReductionConfig
) -> Report:
    """Extract what the store lacks; an error or an interrupt loses no photo that is ready."""
    report = Report(kept=[name for name in photos.names if name in store])
    if store.reduction is None:
        _learn_reduction(extractor, photos, store, config, report)
    waiting = [n for n in photos.names if n not in store and n not in report.failed]
    bar = tqdm(total=len(photos), initial=len(photos) - len(waiting), desc="extract", unit="photo")
    reduction = store.reduction
    for name, features in _extract(extractor, photos, waiting, report, bar):
        store.write(name, _reduced(_halved(features), reduction))
    bar.close()
    return report


def _extract(
    extractor: LocalExtractor, photos: PhotoFolder, names: list[str], report: Report, bar: tqdm
) -> Iterator[tuple[str, Features]]:
    """Yield the features of the photos that can be read; report those that cannot."""
    for name, features in extractor.stream(iter_photos(photos, names)):
        bar.update()
        if isinstance(features, PhotoError):
            report.failed[name] = features
        else:
            report.extracted.append(name)
            yield name, features


def _learn_reduction(
    extractor: LocalExtractor,
    photos: PhotoFolder,
    store: FeatureStore,
    config: ReductionConfig,
    report: Report,
) -> None:
    """Fit the PCA on some photos of the database, and keep their features so as not to redo them."""
    random = np.random.default_rng(config.seed)
    database = photos.select(config.database)
    if not len(database):
        raise ValueError(f"{photos.root}: no photo's file name matches {config.database!r}")
    count = min(config.photos, len(database))
    names = random.permutation(database.names).tolist()  # in reserve: some may be broken
    bar = tqdm(total=count, desc="learn PCA", unit="photo")
    drawn = islice(_extract(extractor, photos, names, report, bar), count)
    whole = {name: _halved(features) for name, features in drawn}
    bar.close()
    if not whole:
        raise next(iter(report.failed.values()))
    sample = [_sample(features.descriptors, config.features, random) for features in whole.values()]
    store.reduction = reduction = Reduction.fit(
        np.concatenate(sample),
        dimensions=config.dimensions,
        whiten=config.whiten,
        seed=config.seed,
    )
    for name, features in whole.items():
        store.write(name, _reduced(features, reduction))


def _halved(features: Features) -> Features:
    """Round descriptors to half precision: while the PCA waits for them, 2 MB a photo instead of 4.

    Those that need not wait are rounded too, so that a run cut short and taken up gives the same store.
    """
    return features.with_descriptors(features.descriptors.astype(np.float16))


def _reduced(features: Features, reduction: Reduction) -> Features:
    return features.with_descriptors(reduction(features.descriptors.astype(np.float32)))


def _sample(
    descriptors: Float[np.ndarray, "n c"], count: int, random: np.random.Generator
) -> Float[np.ndarray, "s c"]:
    rows = random.permutation(len(descriptors))[:count]
    return descriptors[rows].astype(np.float32)
