"""Compute global descriptors: one unit vector per photo, pooled from the conv4 map of the backbone.

Two photos are compared by the dot product of their vectors. The paper compares DELF with trained
global descriptors of this kind (Table 1). `delfjax.models.pooling` has the formulas.
"""

import glob
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int
from tqdm.auto import tqdm

from delfjax.features.extraction import Delf, Extractor, level_mask
from delfjax.features.pca import PCA
from delfjax.features.pyramid import PyramidConfig, build_mosaic, level_cells
from delfjax.features.store import ExtractionReport
from delfjax.files import (
    Lock,
    check_made_by,
    check_tensors,
    read_tensors,
    reading,
    remove_leftovers,
    write_tensors,
)
from delfjax.images.folder import PhotoFolder, PhotoSource, iter_photos
from delfjax.images.reading import PhotoError
from delfjax.models.backbone import State
from delfjax.models.pooling import MAX_REGIONS, Pooling, pool_regions, pooling_regions
from delfjax.ranges import PIXELS, SCALE, Range, check_fields
from delfjax.types import Photo

MAX_BYTES = 2**36  # of a file: 16 million photos
SAVE_SECONDS = 60  # between two saves of an unfinished file


@dataclass(frozen=True, kw_only=True)
class GlobalConfig:
    """Settings for computing the global descriptor (one unit vector) of a photo.

    Attributes:
        pooling: ``"mac"``, ``"gem"`` or ``"rmac"`` of `delfjax.models.pooling`.
        scales: Factors by which the photo is resized. The vectors of all scales are added.
            Radenovic et al. use 1, 1/sqrt(2) and 1/2.
        longest: Maximum length of the longer side of a photo, in pixels. Larger photos are shrunk.
        exponent: Exponent p of GeM pooling, above 0 and at most 20. Learned exponents are near 3
            (Radenovic et al. 2018).
    """

    pooling: Pooling = "gem"
    scales: tuple[float, ...] = (1.0,)
    longest: int = 1024
    exponent: float = 3.0

    def __post_init__(self) -> None:
        check_fields(self, scales=SCALE, longest=PIXELS, exponent=Range(above=0, at_most=20))


@dataclass(frozen=True)
class GlobalExtractor:
    """Model that computes the global descriptor of a photo of any size.

    Only the backbone of the extractor is used. The configuration of the extractor is ignored.
    """

    extractor: Extractor
    config: GlobalConfig = field(default_factory=GlobalConfig)

    def __call__(self, photo: Photo) -> Float[np.ndarray, " c"]:
        """Return the global descriptor of a photo, a unit vector with one value per channel."""
        config = self.config
        pyramid = PyramidConfig(scales=config.scales, longest=config.longest)
        mosaic = build_mosaic(photo, pyramid, self.extractor.spec.padding)
        regions = pooling_regions(level_cells(mosaic), config.pooling)
        # A fixed number of regions, so that all photos of a mosaic size share one compiled program.
        padded = np.zeros((MAX_REGIONS * len(mosaic.levels), 4), np.int32)
        padded[: len(regions)] = regions
        descriptor = _describe(
            *self.extractor.network(mosaic),
            mosaic.pixels,
            mosaic.levels,
            padded,
            len(regions),
            kind=config.pooling,
            exponent=config.exponent,
        )
        return np.asarray(descriptor)


@partial(jax.jit, static_argnames=("graph", "kind", "exponent"))
def _describe(
    graph: nnx.GraphDef[Delf],
    state: State,
    pixels: Array,
    levels: Array,
    regions: Array,
    count: Int[Array, ""],
    *,
    kind: Pooling,
    exponent: float,
) -> Float[Array, " c"]:
    valid = level_mask(pixels.shape[:2], levels)
    maps = nnx.merge(graph, state).backbone(pixels[None].astype(jnp.float32), valid[None])["conv4"]
    return pool_regions(maps[0], regions, count, kind, exponent=exponent)


@dataclass(frozen=True, kw_only=True, eq=False)
class GlobalDescriptors:
    """Global descriptors of many photos.

    Attributes:
        names: Names of the photos.
        vectors: Unit vectors, one row per photo.
        made_by: Model and configuration as read from JSON (tuples become lists).
        sources: Source file of each vector, by photo name.
        report: Result of the last `extract_global_descriptors`.
    """

    names: tuple[str, ...]
    vectors: Float[np.ndarray, "b d"]
    made_by: dict[str, Any]
    sources: Mapping[str, PhotoSource | None] = field(default_factory=dict)
    report: ExtractionReport = field(default_factory=ExtractionReport)

    def select(self, names: Sequence[str]) -> Float[np.ndarray, "b d"]:
        """Return the vectors of the named photos, in the order of the names."""
        rows = {name: row for row, name in enumerate(self.names)}
        return self.vectors[[rows[name] for name in names]]

    def save(self, path: Path) -> None:
        """Write the descriptors to a safetensors file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {"names": self.names, "made_by": self.made_by, "sources": self.sources}
        write_tensors(path, {"vectors": self.vectors}, header)

    @classmethod
    def load(cls, path: Path) -> "GlobalDescriptors":
        """Read a file that `save` wrote. Raise a `StoreError` if the file is damaged."""
        with reading(path, "global descriptors", fix="remove the file and extract again"):
            tensors, header = read_tensors(path, limit=MAX_BYTES)
            check_tensors(tensors, {"vectors": ("f", 2)})
            names, made_by, sources = (header[key] for key in ("names", "made_by", "sources"))
            if (
                not all(isinstance(each, str) for each in names)
                or not len(set(names)) == len(names) == len(tensors["vectors"])
                or not isinstance(made_by, dict)
            ):
                raise ValueError(
                    "its names are not distinct strings, one per vector, or its settings are not an object"
                )
            return cls(
                names=tuple(names),
                vectors=tensors["vectors"],
                made_by=made_by,
                sources={name: each and PhotoSource(*each) for name, each in sources.items()},
            )


def extract_global_descriptors(
    extractor: GlobalExtractor, photos: PhotoFolder, path: Path | str
) -> GlobalDescriptors:
    """Compute the global descriptors of new and changed photos, and save them in a file.

    Return all descriptors in the file. The file is saved repeatedly, so an interrupted run can
    continue. Limitation: a file holds at most about 450,000 photos, because safetensors limits the
    header, which contains names and checksums, to 100 MB.

    Raises:
        StoreError: If the file is damaged or was made with another model or configuration, or if
            another process writes the file.
    """
    path, model = Path(path), extractor.extractor
    settings: dict[str, Any] = {"backbone": model.spec.name, "model": model.checksum}
    settings["global"] = asdict(extractor.config)
    made_by = json.loads(json.dumps(settings))  # JSON turns tuples into lists
    path.parent.mkdir(parents=True, exist_ok=True)
    with Lock(path.with_name(f".{path.name}.lock")):
        remove_leftovers(path.parent, glob.escape(path.name))
        if path.exists():
            saved = GlobalDescriptors.load(path)
            check_made_by(path, saved.made_by, made_by)
        else:
            nothing = np.empty((0, 1), np.float32)
            saved = GlobalDescriptors(names=(), vectors=nothing, made_by=made_by)
        return _extract(extractor, photos, path, saved)


def fit_whitening(
    extractor: GlobalExtractor, photos: PhotoFolder, path: Path, *, dimensions: int
) -> tuple[PCA, dict[str, PhotoError]]:
    """Fit a whitening of global descriptors to the photos of a folder.

    If several photos have the same landmark (`PhotoFolder.landmarks`), the whitening makes photos of
    one landmark more alike. Otherwise, it is a PCA whitening.

    ``path`` is the file for the descriptors of these photos, as in `extract_global_descriptors`.
    ``dimensions`` is the number of dimensions after the whitening.

    Returns:
        The whitening, and the errors of photos that could not be read, by name.
    """
    descriptors = extract_global_descriptors(extractor, photos, path)
    failed = descriptors.report.failed
    landmarks = {name: each for name, each in photos.landmarks.items() if name not in failed}
    vectors, labels = descriptors.select([*landmarks]), [*landmarks.values()]
    if 1 < len(set(labels)) < len(labels):
        return PCA.fit_discriminative(vectors, labels, dimensions=dimensions), failed
    return PCA.fit(vectors, dimensions=dimensions, whiten=True), failed


def _extract(
    extractor: GlobalExtractor, photos: PhotoFolder, path: Path, saved: GlobalDescriptors
) -> GlobalDescriptors:
    """Compute the descriptors of all new and changed photos. Save the file repeatedly."""
    known = dict(zip(saved.names, saved.vectors, strict=True))
    recorded = {name: saved.sources.get(name) for name in photos.names if name in known}
    current = photos.current_sources(recorded)
    missing = [name for name in photos.names if name not in current]
    changed = known.keys() & missing
    for name in changed:  # their vectors are of no use, even if a file cannot be read now
        del known[name]
    sources: dict[str, PhotoSource | None] = {**saved.sources, **current}
    report = ExtractionReport(kept=[*current])

    def save() -> GlobalDescriptors:
        vectors = np.stack([*known.values()]) if known else saved.vectors[:0]
        files = {name: sources.get(name) for name in known}
        every = replace(saved, names=tuple(known), vectors=vectors, sources=files, report=report)
        every.save(path)
        return every

    found = iter_photos(photos, missing, sources)
    last_save = time.monotonic()
    try:
        for name, photo in tqdm(found, total=len(missing), desc="global", unit="photo"):
            if isinstance(photo, PhotoError):
                report.failed[name] = photo
                continue
            known[name] = extractor(photo)
            report.extracted.append(name)
            if name in changed:
                report.changed.append(name)
            if time.monotonic() - last_save >= SAVE_SECONDS:
                save()
                last_save = time.monotonic()
    finally:
        saved = save() if report.extracted or changed else replace(saved, report=report)
    return saved
