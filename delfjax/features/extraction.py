"""From a photo to its local features: one pass over the pyramid, then selection (Secs. 4.1, 4.2).

Every cell of every pyramid level has a descriptor and a score; the best 1000 are kept, by attention
or, the paper's baseline, by the L2 norm of the descriptor.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt8

from delfjax.features.pyramid import (
    STRIDE,
    Mosaic,
    PyramidConfig,
    build_mosaic,
    cell_positions,
    level_sizes,
    split_levels,
)
from delfjax.images.reading import PhotoError
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet, checksum, fold_batch_norm, transpose_kernels
from delfjax.models.resnet import receptive_field
from delfjax.types import Features, Photo

Selection = Literal["attention", "norm"]
Selected = tuple[
    Int[Array, "n 2"], Float[Array, " n"], Float[Array, "n c"]
]  # cells, scores, descriptors
NMS_POOL = 5  # not in the paper: suppression chooses from this many times the features wanted


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """How features are chosen.

    Attributes:
        pyramid: Scales and size of the image pyramid.
        selection: Score by which features are selected: ``"attention"``, or the L2 ``"norm"`` of the
            descriptor. By default attention if the model has a head, else the norm.
        max_features: Features kept of a photo (official config: 1000).
        nms_iou: Drop a feature whose receptive field overlaps that of a better one by more than this
            intersection over union. The default keeps all, as the official config does.
    """

    pyramid: PyramidConfig = field(default_factory=PyramidConfig)
    selection: Selection | None = None
    max_features: int = 1000
    nms_iou: float = 1.0

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "ExtractionConfig":
        """Make a configuration of what `dataclasses.asdict` gave, as JSON keeps it."""
        pyramid = dict(fields["pyramid"])
        pyramid["scales"] = tuple(pyramid["scales"])
        return cls(**{**fields, "pyramid": PyramidConfig(**pyramid)})


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreMaps:
    """Scores before selection: one map a pyramid level, for heatmaps.

    Attributes:
        scales: The levels.
        sizes: ``(height, width)`` of each level, in its pixels.
        norms: L2 norm of the conv4 descriptor at each cell of each level.
        attention: The attention head's score there; None without a head.
        image_size: ``(height, width)`` of the original photo.
    """

    scales: tuple[float, ...]
    sizes: Int[np.ndarray, "levels 2"]
    norms: list[Float[np.ndarray, "_ _"]]
    attention: list[Float[np.ndarray, "_ _"]] | None
    image_size: tuple[int, int]


class Delf(nnx.Module):
    """Backbone and attention head: all that extraction computes on the accelerator."""

    def __init__(self, backbone: ResNet, attention: Attention | None) -> None:
        self.backbone = backbone
        self.attention = attention

    def __call__(
        self, pixels: UInt8[Array, "h w 3"], valid: Bool[Array, "h w"]
    ) -> tuple[Float[Array, "y x c"], dict[str, Float[Array, "y x"]]]:
        """Return the descriptor of every cell, and its scores by each way of selection."""
        maps = self.backbone(pixels[None].astype(jnp.float32), valid[None])["conv4"]
        scores = {"norm": jnp.linalg.norm(maps[0], axis=-1)}
        if self.attention is not None:
            scores["attention"] = self.attention(maps)[0]
        return maps[0], scores


class Extractor:
    """Extracts local features from photos of any size, in a handful of compiled programs.

    Args:
        backbone: A ResNet; its batch norms are folded here.
        attention: The head; needed for ``selection="attention"``.
        config: Pyramid and selection.
        name: Name of the model, such as ``"delf_att"``; the backbone's name if empty.

    Raises:
        ValueError: If features shall be selected by attention, but there is no attention head.
    """

    def __init__(
        self,
        backbone: ResNet,
        attention: Attention | None = None,
        config: ExtractionConfig | None = None,
        name: str = "",
    ) -> None:
        self.spec = backbone.spec
        self.name = name or backbone.spec.name
        self.has_attention = attention is not None
        self.config = self._resolve(config or ExtractionConfig())
        self.receptive_field = receptive_field(backbone.spec)
        if self.receptive_field.stride != STRIDE or self.receptive_field.offset != 0:
            raise ValueError(
                f"{backbone.spec.name}: expected cells at multiples of {STRIDE} pixels"
            )
        model = Delf(fold_batch_norm(backbone), attention)
        self._graph, upright = nnx.split(model)
        self._states = {False: upright, True: transpose_kernels(upright)}

    def _resolve(self, config: ExtractionConfig) -> ExtractionConfig:
        """Choose the selection where the configuration leaves it open."""
        if config.selection == "attention" and not self.has_attention:
            raise ValueError(
                f'{self.name}: selection "attention" needs an attention head. Fix: select by "norm", '
                "or load a model with attention"
            )
        default = "attention" if self.has_attention else "norm"
        return replace(config, selection=config.selection or default)

    def with_config(self, config: ExtractionConfig) -> "Extractor":
        """Return an extractor of the same network with another configuration.

        Raises:
            ValueError: If features shall be selected by attention, but there is no attention head.
        """
        other = copy(self)
        other.config = self._resolve(config)
        return other

    @cached_property
    def checksum(self) -> str:
        """Of every parameter, to tell apart what two models have extracted."""
        return checksum(self._states[False])

    def network(self, mosaic: Mosaic) -> tuple[nnx.GraphDef, nnx.State]:
        """Return the network with the kernels for this mosaic, to be merged in a compiled program."""
        return self._graph, self._states[mosaic.transposed]

    def __call__(self, photo: Photo) -> Features:
        """Extract a photo's features, best score first, descriptors as conv4 gives them (1024-d)."""
        mosaic = build_mosaic(photo, self.config.pyramid)
        return self.collect(mosaic, self.launch(mosaic))

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract photo after photo, drawing the next mosaic while the accelerator is at the last.

        Args:
            photos: Names and photos, as `delfjax.images.reading.iter_photos` gives them; errors pass through.
        """
        running: tuple[str, Mosaic, Selected] | None = None
        for name, photo in photos:
            failed = isinstance(photo, PhotoError)
            mosaic = None if failed else build_mosaic(photo, self.config.pyramid)
            # The last one first, then the next: on a CPU two at once would be two memories.
            done = None if running is None else (running[0], self.collect(*running[1:]))
            running = None if mosaic is None else (name, mosaic, self.launch(mosaic))
            if done is not None:
                yield done
            if failed:
                yield name, photo
        if running is not None:
            yield running[0], self.collect(*running[1:])

    def launch(self, mosaic: Mosaic) -> Selected:
        """Start the extraction of a mosaic and return without waiting for the accelerator."""
        pool = self.config.max_features * (NMS_POOL if self.config.nms_iou < 1 else 1)
        return _select(
            *self.network(mosaic),
            mosaic.pixels,
            mosaic.levels,
            by=self.config.selection,
            count=pool,
        )

    def collect(self, mosaic: Mosaic, selected: Selected) -> Features:
        """Wait for what `launch` started and place the features on the photo."""
        cells, scores, descriptors = (np.asarray(part) for part in selected)
        real = np.isfinite(scores)  # a small photo has fewer cells than features wanted
        positions, levels = cell_positions(mosaic, cells[real])
        features = Features(
            positions=positions.astype(np.float32),
            scales=np.array(mosaic.scales, np.float32)[levels],
            scores=scores[real],
            descriptors=descriptors[real],
            image_size=mosaic.image_size,
        )
        if self.config.nms_iou < 1:
            config = self.config
            features = features[
                non_maximum_suppression(
                    self.receptive_field_boxes(features), config.nms_iou, config.max_features
                )
            ]
        return features

    def receptive_field_boxes(self, features: Features) -> Float[np.ndarray, "n 4"]:
        """Return what each feature sees: ``(y_min, x_min, y_max, x_max)``, in pixels of the photo.

        A receptive field may reach beyond the photo: there the network sees zeros.
        """
        scales = np.array(self.config.pyramid.scales)
        levels = np.abs(features.scales[:, None] - scales).argmin(axis=1)
        pixels = np.array(features.image_size) / level_sizes(
            features.image_size, self.config.pyramid
        )
        return self.receptive_field.boxes_around(features.positions, pixels[levels])

    def score_maps(self, photo: Photo) -> ScoreMaps:
        """Compute the score maps of every pyramid level."""
        mosaic = build_mosaic(photo, self.config.pyramid)
        maps = _score(*self.network(mosaic), mosaic.pixels, mosaic.levels)
        norms, attention = (
            None if name not in maps else split_levels(mosaic, np.asarray(maps[name]))
            for name in ("norm", "attention")
        )
        return ScoreMaps(
            scales=mosaic.scales,
            sizes=level_sizes(mosaic.image_size, self.config.pyramid),
            norms=norms,
            attention=attention,
            image_size=mosaic.image_size,
        )


def level_mask(shape: tuple[int, int], levels: Int[Array, "levels 4"]) -> Bool[Array, "h w"]:
    """Mark the pixels of a mosaic that a level covers."""
    y, x = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None]

    def covers(level: Int[Array, " 4"]) -> Bool[Array, "h w"]:
        top, left, height, width = level
        return (y >= top) & (y < top + height) & (x >= left) & (x < left + width)

    return jax.vmap(covers)(levels).any(0)


@partial(jax.jit, static_argnames="graph")
def _score(graph: nnx.GraphDef, state: nnx.State, pixels: Array, levels: Array) -> dict[str, Array]:
    return nnx.merge(graph, state)(pixels, level_mask(pixels.shape[:2], levels))[1]


@partial(jax.jit, static_argnames=("graph", "by", "count"))
def _select(
    graph: nnx.GraphDef, state: nnx.State, pixels: Array, levels: Array, *, by: str, count: int
) -> Selected:
    """Run the model over a mosaic; return the best cells, their scores and their descriptors."""
    valid = level_mask(pixels.shape[:2], levels)
    maps, scores = nnx.merge(graph, state)(pixels, valid)
    masked = jnp.where(valid[::STRIDE, ::STRIDE], scores[by], -jnp.inf).ravel()
    best, flat = jax.lax.top_k(masked, min(count, masked.size))
    cells = jnp.stack(jnp.unravel_index(flat, valid[::STRIDE, ::STRIDE].shape), axis=1)
    return cells, best, maps.reshape(-1, maps.shape[-1])[flat]


def non_maximum_suppression(
    boxes: Float[np.ndarray, "n 4"], iou: float, keep: int
) -> Int[np.ndarray, " _"]:
    """Greedy non-maximum suppression of boxes ``(y0, x0, y1, x1)`` that come best first.

    Returns:
        Rows of the at most ``keep`` boxes of which none overlaps a better kept one by more than ``iou``.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for row in range(len(boxes)):
        if not alive[row] or len(kept) == keep:
            continue
        kept.append(row)
        corner = np.minimum(boxes[:, 2:], boxes[row, 2:]) - np.maximum(boxes[:, :2], boxes[row, :2])
        shared = corner.clip(0).prod(1)
        alive &= shared <= iou * (areas + areas[row] - shared)
    return np.array(kept, int)
