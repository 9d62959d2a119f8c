"""Which ResNet, and what one of its cells sees (Sec. 4.1; He et al. 2016).

Two variants of ResNet-50 differ in where a stage strides: **v1** in its first 1x1 convolution (He et al.,
Keras, the paper: receptive field 291), **v1.5** in its first 3x3 (torchvision: 267). Padding is symmetric
throughout, so that cell ``i`` looks at pixel ``16 i``; `receptive_field` derives size, stride and offset
from the very windows that `delfjax.models.backbone` builds the network from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

EXPANSION = 4  # He et al. 2016, Table 1: a bottleneck leaves with four times its inner width
STEM_KERNEL, POOL_KERNEL, SPATIAL_KERNEL = 7, 3, 3  # He et al. 2016, Table 1


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """What makes one ResNet differ from another.

    Attributes:
        name: How configs, caches and results call it.
        stride_in: The convolution of a stage's first block that strides: ``"1x1"`` is v1,
            ``"3x3"`` is v1.5.
        blocks: Bottlenecks in conv2, conv3, conv4 (and conv5, used by classifiers only).
        width: Channels of the stem and inner channels of conv2; each later stage doubles them.
        conv_bias: Whether convolutions carry a bias beside their batch norm (Keras: yes).
        epsilon: Added to the variance by batch norm.
        mean: RGB mean subtracted from photos of range 0 to 255.
        std: RGB scale they are then divided by.
    """

    name: str
    stride_in: Literal["1x1", "3x3"]
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 64
    conv_bias: bool = False
    epsilon: float = 1e-5
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    @property
    def channels(self) -> int:
        """Channels of conv4: the dimension of a local descriptor before its PCA."""
        return 4 * self.width * EXPANSION

    def bottlenecks(self, stage: int) -> Iterator[tuple[int, int, int]]:
        """Yield ``(channels in, inner channels, stride)`` of each block of conv ``stage`` (2 to 5)."""
        inner = self.width * 2 ** (stage - 2)
        entering = self.width if stage == 2 else inner * EXPANSION // 2
        for block in range(self.blocks[stage - 2]):
            first = block == 0
            yield entering if first else inner * EXPANSION, inner, 2 if first and stage > 2 else 1


# Keras' preprocessing ("caffe" mode) subtracts the mean in BGR; its kernels are flipped to RGB once,
# by delfjax.models.weights, so every network here takes RGB. Epsilon as in keras.applications.resnet.
RESNET50_V1 = ResNetSpec(
    name="resnet50_v1",
    stride_in="1x1",
    conv_bias=True,
    epsilon=1.001e-5,
    mean=(123.68, 116.779, 103.939),
    std=(1.0, 1.0, 1.0),
)
RESNET50_V15 = ResNetSpec(name="resnet50_v1.5", stride_in="3x3")
RESNET_TINY = replace(RESNET50_V1, name="resnet_tiny", blocks=(1, 1, 1, 1), width=4)
SPECS = {spec.name: spec for spec in (RESNET50_V1, RESNET50_V15, RESNET_TINY)}


class Window(NamedTuple):
    """One sliding window of the network: kernel, stride and padding in its own input's cells."""

    kernel: int
    stride: int
    padding: int


def windows(spec: ResNetSpec) -> Iterator[Window]:
    """Yield every window between a photo and conv4, in order, along the path that reaches furthest."""
    yield same(STEM_KERNEL, 2)
    yield same(POOL_KERNEL, 2)
    for stage in (2, 3, 4):
        for _, _, stride in spec.bottlenecks(stage):
            one, three = split_stride(spec, stride)
            yield same(1, one)
            yield same(SPATIAL_KERNEL, three)
            yield same(1, 1)


def same(kernel: int, stride: int) -> Window:
    """Pad symmetrically: what keeps cell ``i`` over pixel ``stride * i``."""
    return Window(kernel, stride, (kernel - 1) // 2)


def split_stride(spec: ResNetSpec, stride: int) -> tuple[int, int]:
    """Return the strides of a bottleneck's first 1x1 and of its 3x3."""
    return (stride, 1) if spec.stride_in == "1x1" else (1, stride)


@dataclass(frozen=True)
class ReceptiveField:
    """What an output cell sees: ``size`` pixels, moved by ``stride``, cell 0 centered at ``offset``.

    All in pixels of the network's input, ``(0, 0)`` at the center of its top-left pixel.
    """

    size: int
    stride: int
    offset: float

    def centers(self, cells: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return the pixel at the center of each cell's receptive field, ``(y, x)``."""
        return self.stride * np.asarray(cells, float) + self.offset

    def boxes(self, cells: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 4"]:
        """Return ``(y_min, x_min, y_max, x_max)``, the outermost pixels each cell sees, inclusive."""
        return self.boxes_around(self.centers(cells), np.ones(2))

    def boxes_around(
        self, centers: Float[np.ndarray, "n 2"], pixel: Float[np.ndarray, "... 2"]
    ) -> Float[np.ndarray, "n 4"]:
        """Return the boxes around centers on a photo that was resized for the network.

        Args:
            centers: ``(y, x)`` on the photo.
            pixel: Height and width, on the photo, of a pixel of the network's input.

        Returns:
            ``(y_min, x_min, y_max, x_max)``, the centers of the outermost pixels, on the photo.
        """
        reach = (self.size - 1) / 2 * pixel
        return np.concatenate([centers - reach, centers + reach], axis=-1)


def receptive_field(spec: ResNetSpec) -> ReceptiveField:
    """Compute the receptive field of a conv4 cell: ``r += (k - 1) j; o += ((k - 1)/2 - p) j; j *= s``.

    Returns:
        Size 291 and stride 16 for ResNet-50 v1, 267 and 16 for v1.5; offset 0 for both.
    """
    size, jump, offset = 1, 1, 0.0
    for kernel, stride, padding in windows(spec):
        size += (kernel - 1) * jump
        offset += ((kernel - 1) / 2 - padding) * jump
        jump *= stride
    return ReceptiveField(size, jump, offset)
