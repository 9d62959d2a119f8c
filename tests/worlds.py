"""Small worlds for the tests: a tiny network, an extractor, and folders of drawn photos."""

from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from benchmarks.networks import random_network
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import PyramidConfig
from delfjax.images.folder import PhotoFolder, scan
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY, Padding
from delfjax.training.config import (
    AugmentationConfig,
    ClassifierConfig,
    OptimizerConfig,
    TrainingConfig,
)

SIZE = 48, 64  # of drawn photos: as they all have it, one program extracts them
# The paper's seven scales: a photo of SIZE has 112 cells.
# Such small drawings are noise at most scales (`has_content`), so cells need no contrast.
SMALL = ExtractionConfig(
    pyramid=PyramidConfig(longest=64), selection="norm", max_features=60, min_contrast=0
)


@cache
def network(seed: int = 0, *, conv5: bool = False, padding: Padding = "symmetric") -> ResNet:
    """A ResNet of one bottleneck a stage and 64-d descriptors, at random; no batch norm to fold."""
    spec = replace(RESNET_TINY, padding=padding)
    return random_network(lambda: ResNet(spec, conv5=conv5, folded=True, rngs=nnx.Rngs(0)), seed)


@cache
def unfolded(*, conv5: bool = False) -> ResNet:
    """The network with batch norms, at random."""
    made = random_network(lambda: ResNet(RESNET_TINY, conv5=conv5, rngs=nnx.Rngs(0)), 0)
    for path, values in nnx.to_flat_state(nnx.state(made)):
        if path[-1] in ("scale", "var"):
            values.set_value(jnp.asarray(0.5 + 5 * np.abs(values[...])))
    return made


@cache
def head(seed: int = 0) -> Attention:
    """An attention head for it, at random."""
    return random_network(lambda: Attention(RESNET_TINY.channels, hidden=8, rngs=nnx.Rngs(0)), seed)


@cache
def extractor(config: ExtractionConfig = SMALL, *, attention: bool = False) -> Extractor:
    """An extractor with that network; of one configuration there is one."""
    return Extractor(network(), head() if attention else None, config)


def draw(seed: int, size: tuple[int, int] = SIZE, *, block: int = 6) -> np.ndarray:
    """A photo of colored blocks."""
    rows, columns = (-(-side // block) for side in size)
    colors = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)
    return colors.repeat(block, 0).repeat(block, 1)[: size[0], : size[1]]


def save(path, photo: np.ndarray):
    """Write a photo without loss, and the folder it goes to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path, "PNG")
    return path


def flat(root, count: int) -> PhotoFolder:
    """Draw a folder of photos 0.png, 1.png, ... that have nothing in common."""
    for number in range(count):
        save(root / f"{number}.png", draw(number))
    return scan(root)


def classes(root, count: int = 3, views: int = 3) -> PhotoFolder:
    """Draw a folder of classes a, b, ...: each some views 0.png, 1.png, ... of one large picture."""
    height, width = SIZE
    for number in range(count):
        whole = draw(number, (height + 16 * views, width + 16 * views))
        for view in range(views):
            # Shifted by whole cells of the finest level, which has 8 pixels of the photo a cell.
            y, x = 8 * view, 16 * view
            save(root / "abcdefgh"[number] / f"{view}.png", whole[y : y + height, x : x + width])
    return scan(root)


def settings(variant="finetune", *, steps=6, **changes) -> TrainingConfig:
    """Settings that train the tiny network on photos of SIZE in a few seconds; ``part__name`` changes one."""
    parts = {
        "network": ClassifierConfig(
            variant=variant,
            trainable_stages=() if variant == "attention" else ("conv4",),
            hidden_channels=8,
        ),
        "augmentation": AugmentationConfig(resize=48, crop=40),
        "optimizer": OptimizerConfig(
            steps=steps, learning_rate=3e-3, kind="adamw", weight_decay=0.0, schedule="constant"
        ),
    }
    own = {}
    for name, value in changes.items():
        part, _, field = name.rpartition("__")
        if part:
            parts[part] = replace(parts[part], **{field: value})
        else:
            own[name] = value
    return TrainingConfig(
        **{"batch_size": 8, "save_every": 2, "validation_fraction": 0.4} | parts | own
    )
