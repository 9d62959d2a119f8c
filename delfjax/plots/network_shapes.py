"""Trace the shapes of the networks for the diagrams of Figs. 1 and 4.

`nnx.eval_shape` follows shapes through the same modules that extraction and training run, without computing
anything. So the numbers in a diagram are those of the code.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from delfjax.features.extraction import Delf, ExtractionConfig
from delfjax.features.pyramid import level_size
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET50_V1, ReceptiveField, ResNetSpec, receptive_field
from delfjax.training.classifier import Classifier, is_trainable
from delfjax.training.config import STAGES, TrainingConfig

Shape = tuple[int, ...]


class LevelShape(NamedTuple):
    """A pyramid level: scale factor, ``(height, width)`` in pixels, and shape of its conv4 map."""

    scale: float
    size: Shape
    conv4: Shape


@dataclass(frozen=True, kw_only=True)
class ExtractionShapes:
    """Shapes of feature extraction for one size of photo.

    Attributes:
        spec: The backbone.
        photo: ``(height, width)`` of the photo in pixels.
        levels: Pyramid levels, coarse to fine.
        receptive_field: Receptive field of a conv4 cell.
        features: Number of features kept per photo.
    """

    spec: ResNetSpec
    photo: Shape
    levels: tuple[LevelShape, ...]
    receptive_field: ReceptiveField
    features: int

    @property
    def cells(self) -> int:
        """Number of cells of all levels; features are selected from these."""
        return _count_cells(self.levels)


class ParameterCount(NamedTuple):
    """Number of parameters of a part of the network, and how many of them are trained."""

    total: int
    trained: int


@dataclass(frozen=True, kw_only=True)
class TrainingShapes:
    """Shapes of one training step, for one photo.

    Attributes:
        config: Settings of the run.
        sides: Sides of the square photos in pixels, one for each gamma, largest first.
        maps: Output shape of each backbone stage at the largest side, and of the ``scores`` if the
            network has attention.
        channels: Channels of the pooled descriptor.
        classes: Number of landmarks.
        parameters: Parameter counts by part, in the order of the forward pass. The last part is the
            classifier.
    """

    config: TrainingConfig
    sides: tuple[int, ...]
    maps: Mapping[str, Shape]
    channels: int
    classes: int
    parameters: Mapping[str, ParameterCount]


def trace_extraction(
    photo: tuple[int, int],
    *,
    spec: ResNetSpec = RESNET50_V1,
    config: ExtractionConfig | None = None,
) -> ExtractionShapes:
    """Trace the shapes of feature extraction.

    Args:
        photo: ``(height, width)`` of the photo in pixels.
        spec: The backbone.
        config: Image pyramid and selection. None: the defaults.
    """
    config = config or ExtractionConfig()
    base = level_size(photo, min(1.0, config.pyramid.longest / max(photo)))

    def trace_level(scale: float) -> LevelShape:
        height, width = level_size(base, scale)

        def run() -> Array:
            rngs = nnx.Rngs(0)
            head = Attention(spec.channels, rngs=rngs)
            model = Delf(ResNet(spec, folded=True, rngs=rngs), head)
            pixels = jnp.zeros((height, width, 3), jnp.uint8)
            return model(pixels, jnp.ones((height, width), bool))[0]

        return LevelShape(scale, (height, width), nnx.eval_shape(run).shape)

    levels = tuple(trace_level(scale) for scale in sorted(config.pyramid.scales))
    return ExtractionShapes(
        spec=spec,
        photo=photo,
        levels=levels,
        receptive_field=receptive_field(spec),
        features=min(config.max_features, _count_cells(levels)),
    )


def trace_training(
    config: TrainingConfig, classes: int, *, spec: ResNetSpec = RESNET50_V1
) -> TrainingShapes:
    """Trace the shapes of one training step.

    Args:
        config: Settings of the run: step 1 or 2 of the paper.
        classes: Number of landmarks.
        spec: The backbone.

    Raises:
        ValueError: If the network has two classifiers, which Fig. 4 does not show.
    """
    sides = tuple(sorted(config.augmentation.input_sizes, reverse=True))

    def create() -> Classifier:
        rngs = nnx.Rngs(0)
        backbone = ResNet(spec, conv5=config.network.pooled_layer == "conv5", rngs=rngs)
        return Classifier(backbone, classes, config.network, rngs=rngs)

    def run() -> dict[str, Array]:
        photos, model = jnp.zeros((1, sides[0], sides[0], 3)), create()
        return model.backbone(photos) | model(photos)

    shapes = {name: value.shape[1:] for name, value in nnx.eval_shape(run).items()}
    model = nnx.eval_shape(create)
    heads = [name for name in ("descriptor", "attention") if name in shapes]
    if len(heads) != 1:
        raise ValueError(f"variant {config.network.variant} has classifiers {heads}; expected one")
    channels, _ = getattr(model, f"{heads[0]}_classifier").kernel.shape
    return TrainingShapes(
        config=config,
        sides=sides,
        maps={name: shapes[name] for name in (*STAGES, "conv5", "scores") if name in shapes},
        channels=channels,
        classes=classes,
        parameters=_count_parameters(model, config),
    )


def _count_cells(levels: tuple[LevelShape, ...]) -> int:
    return sum(level.conv4[0] * level.conv4[1] for level in levels)


def _count_parameters(model: Classifier, config: TrainingConfig) -> dict[str, ParameterCount]:
    total, trained = Counter(), Counter()
    for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        name = path[1] if path[0] == "backbone" else path[0]
        total[name] += value.size
        trained[name] += value.size * is_trainable(path, config.network)
    classifiers = [name for name in total if name.endswith("_classifier")]
    order = [name for name in (*STAGES, "conv5", "attention") if name in total]
    return {name: ParameterCount(total[name], trained[name]) for name in order + classifiers}
