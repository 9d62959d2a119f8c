"""The shapes of the networks (Figs. 1 and 4): traced from the modules themselves, and nothing is computed.

What the figures of the architecture say is what the code would do at that size: `nnx.eval_shape` follows
shapes through the very modules that extraction and training run.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from delfjax.features.extraction import Delf, ExtractionConfig
from delfjax.features.pca import PAPER_DIMENSIONS
from delfjax.features.pyramid import level_size
from delfjax.models.attention import HIDDEN_CHANNELS, Attention
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET50_V1, ReceptiveField, ResNetSpec, receptive_field
from delfjax.training.classifier import STAGES, Classifier, is_trained
from delfjax.training.config import TrainingConfig

Shape = tuple[int, ...]


class Level(NamedTuple):
    """A pyramid level: its factor, its ``(height, width)`` in pixels, and the shape of its conv4 map."""

    scale: float
    size: Shape
    conv4: Shape


@dataclass(frozen=True, kw_only=True)
class ExtractionShapes:
    """The shapes of extraction, at one size of photo.

    Attributes:
        spec: The backbone.
        photo: ``(height, width)`` in pixels.
        levels: The pyramid, coarse to fine.
        receptive_field: Of a conv4 cell.
        hidden: Width of the attention head.
        features: Kept of a photo.
        dimensions: Of a reduced descriptor.
    """

    spec: ResNetSpec
    photo: Shape
    levels: tuple[Level, ...]
    receptive_field: ReceptiveField
    hidden: int
    features: int
    dimensions: int

    @property
    def cells(self) -> int:
        """Cells of all levels: what features are chosen from."""
        return sum(level.conv4[0] * level.conv4[1] for level in self.levels)


class PartParameters(NamedTuple):
    """A part of a network in training: its parameters, and how many of them move."""

    parameters: int
    trained: int


@dataclass(frozen=True, kw_only=True)
class TrainingShapes:
    """The shapes of a step of training, for one photo.

    Attributes:
        config: The run's settings.
        sides: Of the square photos that the network sees, in pixels; one for each gamma.
        maps: What each stage gives, and ``scores`` where there is attention, at the largest side.
        classifier: Which, ``"descriptor"`` or ``"attention"``, and ``(pooled channels, landmarks)``.
        parts: Parameters of each part, in the order of the forward pass.
    """

    config: TrainingConfig
    sides: tuple[int, ...]
    maps: Mapping[str, Shape]
    classifier: tuple[str, Shape]
    parts: Mapping[str, PartParameters]


def trace_extraction(
    photo: tuple[int, int],
    *,
    spec: ResNetSpec = RESNET50_V1,
    config: ExtractionConfig | None = None,
    dimensions: int = PAPER_DIMENSIONS,
    hidden: int = HIDDEN_CHANNELS,
) -> ExtractionShapes:
    """Trace extraction at a size of photo.

    Args:
        photo: ``(height, width)`` in pixels.
        spec: The backbone.
        config: Pyramid and selection.
        dimensions: Of a reduced descriptor.
        hidden: Width of the attention head.
    """
    config = config or ExtractionConfig()
    base = level_size(photo, min(1.0, config.pyramid.longest / max(photo)))

    def trace(scale: float) -> Level:
        height, width = level_size(base, scale)

        def run() -> Array:
            rngs = nnx.Rngs(0)
            head = Attention(spec.channels, hidden=hidden, rngs=rngs)
            model = Delf(ResNet(spec, folded=True, rngs=rngs), head)
            pixels = jnp.zeros((height, width, 3), jnp.uint8)
            return model(pixels, jnp.ones((height, width), bool))[0]

        return Level(scale, (height, width), nnx.eval_shape(run).shape)

    levels = tuple(trace(scale) for scale in sorted(config.pyramid.scales))
    cells = sum(level.conv4[0] * level.conv4[1] for level in levels)
    return ExtractionShapes(
        spec=spec,
        photo=photo,
        levels=levels,
        receptive_field=receptive_field(spec),
        hidden=hidden,
        features=min(config.max_features, cells),
        dimensions=dimensions,
    )


def trace_training(config: TrainingConfig, classes: int, *, spec: ResNetSpec = RESNET50_V1) -> TrainingShapes:
    """Trace a step of training.

    Args:
        config: The run's settings: step 1 or 2 of the paper.
        classes: Number of landmarks.
        spec: The backbone.

    Raises:
        ValueError: If the variant has not just one classifier: Fig. 4 has no such network.
    """
    sides = tuple(sorted(config.augmentation.sizes, reverse=True))

    def make() -> Classifier:
        rngs = nnx.Rngs(0)
        backbone = ResNet(spec, conv5=config.network.through == "conv5", rngs=rngs)
        return Classifier(backbone, classes, config.network, rngs=rngs)

    def run() -> dict[str, Array]:
        photos, model = jnp.zeros((1, sides[0], sides[0], 3)), make()
        return model.backbone(photos) | model(photos)

    shapes = {name: value.shape[1:] for name, value in nnx.eval_shape(run).items()}
    model = nnx.eval_shape(make)
    heads = [name for name in ("descriptor", "attention") if name in shapes]
    if len(heads) != 1:
        raise ValueError(f"{config.network.variant} has classifiers {heads}; expected one")
    kernel = getattr(model, f"{heads[0]}_classifier").kernel.shape
    maps = {name: shapes[name] for name in (*STAGES, "conv5", "scores") if name in shapes}
    return TrainingShapes(
        config=config,
        sides=sides,
        maps=maps,
        classifier=(heads[0], kernel),
        parts=_parts(model, config),
    )


def _parts(model: Classifier, config: TrainingConfig) -> dict[str, PartParameters]:
    whole, moved = Counter(), Counter()
    for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        name = path[1] if path[0] == "backbone" else path[0]
        whole[name] += value.size
        moved[name] += value.size * is_trained(path, config.network)
    order = [
        *STAGES,
        "conv5",
        "attention",
        *(name for name in whole if name.endswith("_classifier")),
    ]
    return {name: PartParameters(whole[name], moved[name]) for name in order if name in whole}
