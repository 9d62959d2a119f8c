"""Extract local features from an image pyramid of a photo with a neural network (Secs. 4.1, 4.2).

The levels of the pyramid are resized copies of the photo. The network computes a feature map of
each level. Each cell (position) of a map has a descriptor and a score. Cells in empty areas are left
out (`delfjax.features.content`). Of the others, the 1000 with the highest scores become features.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

from delfjax.features.content import allowed_cells
from delfjax.features.pyramid import (
    Mosaic,
    PyramidConfig,
    build_mosaic,
    cell_positions,
    level_cells,
    level_sizes,
    merge_levels,
    shrink_factor,
    split_levels,
)
from delfjax.images.reading import PhotoError
from delfjax.models.attention import Attention
from delfjax.models.backbone import (
    ResNet,
    State,
    checksum,
    fold_batch_norm,
    named_parameters,
    transpose_kernels,
)
from delfjax.models.openvino_network import OpenVinoNetwork
from delfjax.models.resnet import Padding, receptive_field
from delfjax.ranges import COUNT, FRACTION, NOT_NEGATIVE, ConfigError, check_fields
from delfjax.types import Features, Photo

Selection = Literal["attention", "norm"]
Backend = Literal["jax", "openvino"]
# (row, column) of cells; their scores; descriptors
SelectedCells = tuple[Array | np.ndarray, Array | np.ndarray, Array | np.ndarray]
NMS_CANDIDATES = 5  # candidates of non-maximum suppression per feature; our choice, not the paper's
MIN_CONTRAST = 1.0  # gray levels: default outside of evaluations


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """Settings for the extraction and selection of local features.

    Attributes:
        pyramid: Settings of the image pyramid: scales, and maximum size of the photo.
        selection: Score by which features are selected: ``"attention"``, or ``"norm"`` for the L2
            norm of the descriptor. None: attention if the model has it, else the norm.
        max_features: Maximum number of features per photo (official configuration: 1000).
        nms_iou: Maximum intersection over union of the receptive fields of two features, from 0 to
            1. Above it, the feature with the lower score is dropped. 1 (official code) drops none.
        min_contrast: Minimum contrast around a feature, in gray levels (0 to 255), as defined in
            `content.has_content`. 0 allows features in flat areas, gradients and noise, as the official code
            does. None: 1, or 0 in a `RunConfig`. Saved settings that lack this field use 0.
        min_score: Minimum score of a feature. The official configurations use 100 (DELF of 2017) and
            175 (DELG), which fit only the scores of their networks.
        cell_step: Use only every n-th row and column of the conv4 map. 1 uses all cells, 16 pixels
            apart. 2 gives a stride of 32 pixels, as in the official network of 2017.
    """

    pyramid: PyramidConfig = field(default_factory=PyramidConfig)
    selection: Selection | None = None
    max_features: int = 1000
    nms_iou: float = 1.0
    min_contrast: float | None = field(default=None, metadata={"missing": 0.0})
    min_score: float = field(default=0.0, metadata={"missing": 0.0})
    cell_step: int = field(default=1, metadata={"missing": 1})

    def __post_init__(self) -> None:
        check_fields(
            self,
            max_features=COUNT,
            nms_iou=FRACTION,
            min_contrast=NOT_NEGATIVE,
            min_score=NOT_NEGATIVE,
            cell_step=COUNT,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreMaps:
    """Scores at all positions of the feature maps of a photo, before features are selected.

    Attributes:
        scales: Scale of each pyramid level. A level is a resized copy of the photo.
        sizes: ``(height, width)`` of each level, in pixels of the level.
        norms: One map per level, with the L2 norm of the descriptor at each position.
        attention: One map of attention scores per level. None if the model has no attention head.
        image_size: ``(height, width)`` of the original photo in pixels.
        padding: Padding of the network; see `first_centers`.
    """

    scales: tuple[float, ...]
    sizes: Int[np.ndarray, "levels 2"]
    norms: list[Float[np.ndarray, "_ _"]]
    attention: list[Float[np.ndarray, "_ _"]] | None
    image_size: tuple[int, int]
    padding: Padding = "symmetric"

    def heatmap(
        self, score: Selection = "attention", level: int | None = None
    ) -> Float[np.ndarray, "h w"]:
        """Interpolate the scores of a pyramid level to the pixels of the photo.

        ``level`` is the index of the level. None: the maximum over all levels at each pixel.

        Raises:
            ValueError: If ``score`` is ``"attention"`` and the model has no attention head.
        """
        maps = self.norms if score == "norm" else self.attention
        if maps is None:
            raise ValueError('the model has no attention scores. Fix: pass score="norm"')
        chosen = range(len(maps)) if level is None else [level]
        each = [maps[n] for n in chosen]
        return merge_levels(each, self.sizes[chosen], self.image_size, self.padding)


class Delf(nnx.Module):
    """Backbone and attention head as one module, which JAX compiles."""

    def __init__(self, backbone: ResNet, attention: Attention | None) -> None:
        self.backbone = backbone
        self.attention = attention

    def __call__(
        self, pixels: Shaped[Array, "h w 3"], valid: Bool[Array, "h w"]
    ) -> tuple[Float[Array, "y x c"], dict[str, Float[Array, "y x"]]]:
        """Return the local descriptors of an RGB image, and a map of each score.

        Scores: ``"norm"``, and ``"attention"`` if there is a head. Only ``valid`` pixels are used.
        """
        maps = self.backbone(pixels[None].astype(jnp.float32), valid[None])["conv4"]
        if self.attention is None:
            return maps[0], {"norm": jnp.linalg.norm(maps[0], axis=-1)}
        descriptors = self.attention.descriptors(maps)[0]
        norms = jnp.linalg.norm(descriptors, axis=-1)
        return descriptors, {"norm": norms, "attention": self.attention(maps)[0]}


class Extractor:
    """Model that extracts local features from photos of any size.

    Photos of all sizes share a few compiled programs; see `delfjax.features.pyramid`.

    Args:
        backbone: Network that computes the descriptors.
        attention: Attention head, required for selection by attention.
        config: Settings of the extraction. None: the defaults.
        name: Name of the model, such as ``"delf_att"``. By default the name of the backbone.
        backend: Library that computes features: ``"jax"``, or ``"openvino"`` (an extra), which is
            faster on CPUs. Features are equal up to rounding errors. `score_maps` always uses JAX.

    Attributes:
        spec: Description of the backbone.
        dimensions: Number of dimensions of a descriptor.
        config: Settings of the extraction. Fields that were None have their defaults.
        receptive_field: Size and stride of the receptive fields of conv4.

    Raises:
        ConfigError: If the configuration selects by attention, but there is no attention head. Also
            if ``backend`` is unknown or cannot run this network.
        ImportError: If the package of the backend is not installed.
    """

    def __init__(
        self,
        backbone: ResNet,
        attention: Attention | None = None,
        config: ExtractionConfig | None = None,
        name: str = "",
        *,
        backend: Backend = "jax",
    ) -> None:
        if backend not in get_args(Backend):
            names = ", ".join(get_args(Backend))
            raise ConfigError(f"backend is {backend!r}; expected one of {names}")
        self.spec = backbone.spec
        self.dimensions = backbone.spec.channels if attention is None else attention.dimensions
        self.name = name or backbone.spec.name
        self._default_selection: Selection = "norm" if attention is None else "attention"
        self.config = self._resolve(config or ExtractionConfig())
        self.receptive_field = receptive_field(backbone.spec)
        self._graph, upright = nnx.split(Delf(fold_batch_norm(backbone), attention))
        self._states = {False: upright, True: transpose_kernels(upright)}
        expands = attention is not None and attention.expand is not None
        if backend == "openvino" and (expands or self.spec.padding == "tensorflow"):
            raise ConfigError(
                f'the backend "openvino" cannot run {self.name}, whose network has TensorFlow '
                'padding or an autoencoder in the attention head. Fix: use the backend "jax"'
            )
        self._openvino = self._compile_by_openvino() if backend == "openvino" else None

    def _compile_by_openvino(self) -> OpenVinoNetwork:
        """Compile the network and the score by which features are selected."""
        parameters = named_parameters(self._states[False])
        arrays = {name: np.asarray(weights[...]) for name, weights in parameters.items()}
        return OpenVinoNetwork(self.spec, arrays, self.config.selection or self._default_selection)

    def _resolve(self, config: ExtractionConfig) -> ExtractionConfig:
        """Replace None by the default selection of the model and the default contrast."""
        if config.selection == "attention" and self._default_selection == "norm":
            raise ConfigError(
                f'{self.name}: selection "attention" needs an attention head. '
                'Fix: select by "norm", or load a model with an attention head'
            )
        contrast = MIN_CONTRAST if config.min_contrast is None else config.min_contrast
        selection = config.selection or self._default_selection
        return replace(config, selection=selection, min_contrast=contrast)

    def with_config(self, config: ExtractionConfig) -> "Extractor":
        """Return an extractor with the same network and another configuration. Errors: see the class."""
        other = copy(self)
        other.config = self._resolve(config)
        if self._openvino is not None and other.config.selection != self.config.selection:
            other._openvino = other._compile_by_openvino()
        return other

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of all parameters of the network."""
        return checksum(self._states[False])

    @property
    def backbone(self) -> ResNet:
        """The network that computes the descriptors, with folded batch normalization."""
        return nnx.merge(self._graph, self._states[False]).backbone

    def network(self, mosaic: Mosaic) -> tuple[nnx.GraphDef[Delf], State]:
        """Return graph and state of the network. A transposed mosaic needs transposed kernels."""
        return self._graph, self._states[mosaic.transposed]

    def __call__(self, photo: Photo) -> Features:
        """Extract the features of a photo, highest score first.

        The descriptors have the 1024 dimensions of conv4, unless the model projects them. They are
        not normalized. Raise a `ValueError` if the photo is not RGB of type uint8.
        """
        mosaic, allowed = self._prepare(photo)
        return self._collect(mosaic, self._launch(mosaic, allowed))

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract the features of named photos, in order. Yield each `PhotoError` unchanged.

        The CPU prepares the next photo while the accelerator runs.
        """
        running: list[tuple[str, tuple[Mosaic, SelectedCells]]] = []  # at most one photo
        for name, photo in photos:
            prepared = None if isinstance(photo, PhotoError) else self._prepare(photo)
            # Finish the previous photo first: on a CPU, two at once need twice the memory.
            done = [(other, self._collect(*task)) for other, task in running]
            running = [(name, (prepared[0], self._launch(*prepared)))] if prepared else []
            yield from done
            if isinstance(photo, PhotoError):
                yield name, photo
        for name, task in running:
            yield name, self._collect(*task)

    def _prepare(self, photo: Photo) -> tuple[Mosaic, Bool[np.ndarray, "y x"]]:
        """Return the mosaic of a photo and a mask of the cells that may become features."""
        mosaic = build_mosaic(photo, self.config.pyramid, self.spec.padding)
        return mosaic, allowed_cells(mosaic, self.config.min_contrast or 0, self.config.cell_step)

    def _launch(self, mosaic: Mosaic, allowed: Bool[np.ndarray, "y x"]) -> SelectedCells:
        """Start the network on a mosaic. Return without waiting for the accelerator."""
        count = self.config.max_features * (NMS_CANDIDATES if self.config.nms_iou < 1 else 1)
        if self._openvino is not None:
            return self._select_by_openvino(self._openvino, mosaic, allowed, count)
        by = self.config.selection or self._default_selection
        arrays = mosaic.pixels, mosaic.levels, allowed
        cells, scores, descriptors = _select(*self.network(mosaic), *arrays, by=by, count=count)
        return cells, scores, descriptors

    def _select_by_openvino(
        self,
        network: OpenVinoNetwork,
        mosaic: Mosaic,
        allowed: Bool[np.ndarray, "y x"],
        count: int,
    ) -> SelectedCells:
        """Run the network on one level after another. Return the cells of `_select`.

        Scores and descriptors differ by rounding errors.
        """
        masked = np.full(allowed.shape, -np.inf, np.float32)
        maps = np.zeros((*allowed.shape, self.dimensions), np.float32)
        levels = (
            mosaic.pixels[top : top + height, left : left + width]
            for top, left, height, width in mosaic.levels.tolist()
        )
        upright = (level.swapaxes(0, 1) if mosaic.transposed else level for level in levels)
        places = level_cells(mosaic).tolist()
        for (top, left, height, width), found in zip(places, network(upright), strict=True):
            level = np.s_[top : top + height, left : left + width]
            descriptors, scores = found
            if mosaic.transposed:
                descriptors, scores = descriptors.swapaxes(1, 2), scores.T
            maps[level] = np.moveaxis(descriptors, 0, -1)
            masked[level] = np.where(allowed[level], scores, -np.inf)
        best = np.argsort(-masked, axis=None, kind="stable")[:count]
        cells = np.stack(np.unravel_index(best, masked.shape), axis=1)
        return cells, masked.ravel()[best], maps.reshape(-1, self.dimensions)[best]

    def _collect(self, mosaic: Mosaic, selected: SelectedCells) -> Features:
        """Wait for the result of `_launch`, and convert its cells to features of the photo."""
        cells, scores, descriptors = (np.asarray(part) for part in selected)
        # A photo can have fewer cells with content than max_features.
        valid = np.isfinite(scores) & (scores >= self.config.min_score)
        positions, levels = cell_positions(mosaic, cells[valid])
        shrink = shrink_factor(mosaic.image_size, self.config.pyramid.longest)
        features = Features(
            positions=positions.astype(np.float32),
            scales=np.array(mosaic.scales, np.float32)[levels] * np.float32(shrink),
            scores=scores[valid],
            descriptors=descriptors[valid],
            image_size=mosaic.image_size,
        )
        if self.config.nms_iou < 1:
            boxes, limit = self.receptive_field_boxes(features), self.config.max_features
            features = features[non_maximum_suppression(boxes, self.config.nms_iou, limit)]
        return features

    def receptive_field_boxes(self, features: Features) -> Float[np.ndarray, "n 4"]:
        """Return the receptive fields of features that this extractor extracted.

        Boxes are ``(y_min, x_min, y_max, x_max)`` in pixels. They may extend beyond the photo.
        """
        shrink = shrink_factor(features.image_size, self.config.pyramid.longest)
        scales = np.array(self.config.pyramid.scales) * shrink
        levels = np.abs(features.scales[:, None] - scales).argmin(axis=1)
        sizes = level_sizes(features.image_size, self.config.pyramid)
        pixel_sizes = np.array(features.image_size) / sizes  # of a level's pixel, on the photo
        return self.receptive_field.boxes_around(features.positions, pixel_sizes[levels])

    def score_maps(self, photo: Photo) -> ScoreMaps:
        """Compute the scores at every position of the feature map of each pyramid level."""
        mosaic = build_mosaic(photo, self.config.pyramid, self.spec.padding)
        maps = _score(*self.network(mosaic), mosaic.pixels, mosaic.levels)
        levels = {name: split_levels(mosaic, np.asarray(values)) for name, values in maps.items()}
        return ScoreMaps(
            scales=mosaic.scales,
            sizes=level_sizes(mosaic.image_size, self.config.pyramid),
            norms=levels["norm"],
            attention=levels.get("attention"),
            image_size=mosaic.image_size,
            padding=mosaic.padding,
        )


def level_mask(shape: tuple[int, ...], levels: Int[Array, "levels 4"]) -> Bool[Array, "h w"]:
    """Return a mask of shape ``shape`` that is True inside the ``levels`` of a `Mosaic`."""
    y, x = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])
    top, left, height, width = levels.T[..., None, None]
    inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    return jnp.any(inside, axis=0)


@partial(jax.jit, static_argnames="graph")
def _score(
    graph: nnx.GraphDef[Delf], state: State, pixels: Array, levels: Array
) -> dict[str, Array]:
    return nnx.merge(graph, state)(pixels, level_mask(pixels.shape[:2], levels))[1]


@partial(jax.jit, static_argnames=("graph", "by", "count"))
def _select(
    graph: nnx.GraphDef[Delf],
    state: State,
    pixels: Array,
    levels: Array,
    allowed: Bool[Array, "y x"],
    *,
    by: Selection,
    count: int,
) -> SelectedCells:
    """Run the network on a mosaic. Return the allowed cells that have the highest scores."""
    maps, scores = nnx.merge(graph, state)(pixels, level_mask(pixels.shape[:2], levels))
    masked = jnp.where(allowed, scores[by], -jnp.inf).ravel()
    best, flat = jax.lax.top_k(masked, min(count, masked.size))
    cells = jnp.stack(jnp.unravel_index(flat, allowed.shape), axis=1)
    return cells, best, maps.reshape(-1, maps.shape[-1])[flat]


def non_maximum_suppression(
    boxes: Float[np.ndarray, "n 4"], iou: float, keep: int
) -> Int[np.ndarray, " _"]:
    """Return the rows of the boxes that greedy non-maximum suppression keeps, best box first.

    Args:
        boxes: ``(y_min, x_min, y_max, x_max)`` of each box, best box first.
        iou: Drop a box if its intersection over union with a better kept box exceeds this value.
        keep: Maximum number of rows to return.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for row in range(len(boxes)):
        if not alive[row] or len(kept) == keep:
            continue
        kept.append(row)
        sides = np.minimum(boxes[:, 2:], boxes[row, 2:]) - np.maximum(boxes[:, :2], boxes[row, :2])
        intersections = sides.clip(0).prod(1)
        alive &= intersections <= iou * (areas + areas[row] - intersections)
    return np.array(kept, int)
