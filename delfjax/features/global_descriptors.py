"""Global descriptors of a collection: extracted with DELF's backbone, kept in one file, compared by dot.

One unit vector a photo (`delfjax.models.pooling`), optionally whitened by a PCA that was learned of other photos
(`delfjax.features.pca`). The paper's peers for whole-photo retrieval, and a first stage for verification.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm.auto import tqdm

from delfjax.features.extract_folder import Report
from delfjax.features.extraction import Extractor, drawn
from delfjax.features.pca import PCA
from delfjax.features.pyramid import CELL, PyramidConfig, compose
from delfjax.features.store import StoreError
from delfjax.images.reading import PhotoError, PhotoFolder, iter_photos
from delfjax.models.pooling import MOST_REGIONS, Pooling, pool_regions, regions_of
from delfjax.types import Photo


@dataclass(frozen=True, kw_only=True)
class GlobalConfig:
    """How a photo becomes one vector.

    Attributes:
        pooling: ``"mac"``, ``"spoc"``, ``"gem"`` or ``"rmac"``.
        scales: Of the photo; the vectors of several are added up. Radenovic et al. take 1, 1/sqrt(2), 1/2.
        longest: Photos with a longer side, in pixels, are first shrunk to it.
        exponent: Of GeM. Learned ones are near the default (Radenovic et al.).
    """

    pooling: Pooling = "gem"
    scales: tuple[float, ...] = (1.0,)
    longest: int = 1024
    exponent: float = 3.0


class GlobalExtractor:
    """Computes the vector of photos of any size, in a handful of compiled programs.

    Args:
        extractor: Whose backbone to use; its own configuration does not matter here.
        config: Pooling and scales.
    """

    def __init__(self, extractor: Extractor, config: GlobalConfig | None = None) -> None:
        self.extractor = extractor
        self.config = config or GlobalConfig()
        self._pyramid = PyramidConfig(scales=self.config.scales, longest=self.config.longest)

    @property
    def made_by(self) -> dict[str, Any]:
        """All that determines a vector."""
        settings = {
            "backbone": self.extractor.spec.name,
            "model": self.extractor.checksum,
            "global": asdict(self.config),
        }
        return json.loads(json.dumps(settings))  # tuples become lists, as they are on disk

    def __call__(self, photo: Photo) -> Float[np.ndarray, " c"]:
        """Return the photo's unit vector, of as many dimensions as conv4 has channels."""
        sheet = compose(photo, self._pyramid)
        regions = regions_of(-(-sheet.levels // CELL), self.config.pooling)
        padded = np.zeros((MOST_REGIONS * len(sheet.levels), 4), np.int32)
        padded[: len(regions)] = regions
        return np.asarray(
            _describe(
                *self.extractor.network(sheet),
                sheet.pixels,
                sheet.levels,
                padded,
                len(regions),
                kind=self.config.pooling,
                exponent=self.config.exponent,
            )
        )


@partial(jax.jit, static_argnames=("graph", "kind", "exponent"))
def _describe(
    graph: nnx.GraphDef,
    state: nnx.State,
    pixels: Array,
    levels: Array,
    regions: Array,
    count: int | Array,
    *,
    kind: Pooling,
    exponent: float,
) -> Float[Array, " c"]:
    maps, _ = nnx.merge(graph, state)(pixels, drawn(pixels.shape[:2], levels))
    return pool_regions(maps, regions, count, kind, exponent=exponent)


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """The global descriptors of a collection.

    Attributes:
        names: Photo names.
        rows: Their unit vectors.
        made_by: Model and configuration.
    """

    names: tuple[str, ...]
    rows: Float[np.ndarray, "b d"]
    made_by: dict[str, Any]

    def of(self, names: Sequence[str]) -> Float[np.ndarray, "b d"]:
        """Return the vectors of some photos, in the order of their names."""
        places = {name: row for row, name in enumerate(self.names)}
        return self.rows[[places[name] for name in names]]

    def save(self, path: Path) -> None:
        """Write the vectors as safetensors; the file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        words = {"names": json.dumps(self.names), "made_by": json.dumps(self.made_by)}
        save_file({"vectors": np.ascontiguousarray(self.rows)}, temporary, words)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Vectors":
        """Read what `save` wrote.

        Raises:
            StoreError: If the file is something else, or damaged.
        """
        try:
            with safe_open(path, "np") as file:
                words = file.metadata()
                names, made_by = (json.loads(words[key]) for key in ("names", "made_by"))
                return cls(names=tuple(names), rows=file.get_tensor("vectors"), made_by=made_by)
        except (SafetensorError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path}: no global descriptors ({error}); remove it and extract again"
            ) from error


def extract_vectors(
    extractor: GlobalExtractor, photos: PhotoFolder, path: Path | str
) -> tuple[Vectors, Report]:
    """Compute the vectors that a file does not hold yet, and keep them there.

    An interrupted run keeps what it has.

    Returns:
        All vectors of the file, and what became of each photo: broken ones are listed, not raised.

    Raises:
        StoreError: If the file was made by another model or configuration.
    """
    path = Path(path)
    vectors = _opened(path, extractor.made_by)
    known = dict(zip(vectors.names, vectors.rows, strict=True))
    report = Report(kept=[name for name in photos.names if name in known])
    waiting = [name for name in photos.names if name not in known]
    if not waiting:
        return vectors, report
    bar = tqdm(iter_photos(photos, waiting), total=len(waiting), desc="global", unit="photo")
    try:
        for name, photo in bar:
            if isinstance(photo, PhotoError):
                report.failed[name] = photo
            else:
                known[name] = extractor(photo)
                report.extracted.append(name)
    finally:
        if known:
            vectors = Vectors(
                names=tuple(known), rows=np.stack([*known.values()]), made_by=extractor.made_by
            )
            vectors.save(path)
    return vectors, report


def whitened(vectors: Vectors, others: Float[np.ndarray, "b c"], dimensions: int) -> Vectors:
    """Whiten vectors by a PCA learned of those of other photos, none of them to be searched.

    Raises:
        ValueError: If there are fewer of these than dimensions.
    """
    pca = PCA.fit(others, dimensions=dimensions, whiten=True)
    return replace(vectors, rows=pca(vectors.rows))


def _opened(path: Path, made_by: dict[str, Any]) -> Vectors:
    if not path.exists():
        return Vectors(names=(), rows=np.empty((0, 1), np.float32), made_by=made_by)
    vectors = Vectors.load(path)
    for key, wanted in made_by.items():
        if vectors.made_by.get(key) != wanted:
            raise StoreError(
                f"{path}: made with {key} = {vectors.made_by.get(key)}, but {wanted} is asked for; "
                "use another file, or remove this one to start again"
            )
    return vectors
