"""Compute global descriptors: one unit vector per photo, pooled from the conv4 map of the backbone.

Two photos are compared by the dot product of their vectors. The paper compares DELF with trained
global descriptors of this kind (Table 1). `delfjax.models.pooling` has the formulas.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from delfjax.features.extract_folder import update_store
from delfjax.features.extraction import Delf, Extractor, level_mask
from delfjax.features.pca import PCA
from delfjax.features.pyramid import PyramidConfig, build_mosaic, level_cells
from delfjax.features.store import FeatureStore
from delfjax.images.folder import PhotoFolder
from delfjax.images.reading import PhotoError
from delfjax.models.backbone import State
from delfjax.models.pooling import MAX_REGIONS, Pooling, pool_regions, pooling_regions
from delfjax.ranges import PIXELS, SCALE, Range, check_fields
from delfjax.types import Features, Photo


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

    Only the backbone of ``extractor`` is used, not its attention head and its configuration.
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

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Describe each named photo by one feature, in order. Yield each `PhotoError` unchanged."""
        for name, photo in photos:
            yield name, photo if isinstance(photo, PhotoError) else self._as_feature(photo)

    def _as_feature(self, photo: Photo) -> Features:
        """Return the global descriptor of a photo as a single feature, for a `FeatureStore`."""
        one = np.ones(1, np.float32)
        return Features(
            positions=np.zeros((1, 2), np.float32),
            scales=one,
            scores=one,
            descriptors=self(photo)[None],
            image_size=photo.shape[:2],
        )


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


def extract_global_descriptors(
    extractor: GlobalExtractor, photos: PhotoFolder, path: Path | str
) -> FeatureStore:
    """Compute the global descriptors of new and changed photos, and keep them in a feature store.

    The store has one feature for each photo, in single precision.

    Raises:
        StoreError: If the store was made with another model or configuration, or if another process
            writes to it.
    """
    model = extractor.extractor
    made_by = {
        "backbone": model.spec.name,
        "model": model.checksum,
        "global": asdict(extractor.config),
        "precision": "single",  # one descriptor per photo takes little space
    }
    return update_store(FeatureStore(path, made_by), extractor, photos)


def fit_whitening(
    extractor: GlobalExtractor, photos: PhotoFolder, path: Path, *, dimensions: int
) -> tuple[PCA, dict[str, PhotoError]]:
    """Fit a whitening to the global descriptors of the photos of a folder.

    If there are several landmarks, one of them with several photos (`PhotoFolder.landmarks`), the
    whitening makes descriptors of one landmark more similar. Otherwise, it is a PCA whitening.

    ``path`` is the feature store in which `extract_global_descriptors` keeps the descriptors.
    ``dimensions`` is the number of dimensions after the whitening.

    Returns:
        The whitening, and the errors of photos that could not be read, by name.
    """
    store = extract_global_descriptors(extractor, photos, path)
    failed = store.report.failed
    landmarks = {name: each for name, each in photos.landmarks.items() if name not in failed}
    vectors, labels = store.gather(landmarks).descriptors, [*landmarks.values()]
    if 1 < len(set(labels)) < len(labels):
        return PCA.fit_discriminative(vectors, labels, dimensions=dimensions), failed
    return PCA.fit(vectors, dimensions=dimensions, whiten=True), failed
