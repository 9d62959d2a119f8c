"""Specify a ResNet, and compute the receptive field of its conv4 cells (Sec. 4.1; He et al. 2016).

There are two variants of ResNet-50. **v1** strides in the first 1x1 convolution of a stage (He et al.,
Keras, the paper: receptive field 291 pixels), **v1.5** in its first 3x3 convolution (torchvision: 267).
Padding is symmetric everywhere, so cell ``i`` is centered at pixel ``16 i``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

EXPANSION = 4  # He et al. 2016, Table 1: output channels of a bottleneck per inner channel
STEM_KERNEL, POOL_KERNEL, SPATIAL_KERNEL = 7, 3, 3  # He et al. 2016, Table 1


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """Specification of a ResNet.

    Attributes:
        name: Name in configurations, caches and results.
        stride_in: Convolution that strides in the first block of a stage: ``"1x1"`` is v1, ``"3x3"`` is
            v1.5.
        blocks: Number of bottlenecks in conv2, conv3, conv4 and conv5.
        width: Channels of the stem and inner channels of conv2. Each later stage doubles them.
        conv_bias: Whether convolutions have a bias in addition to the batch norm, as in Keras.
        epsilon: Added to the variance in batch norms.
        mean: RGB mean that is subtracted from photos with values from 0 to 255.
        std: RGB standard deviation by which photos are then divided.
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
        """Channels of conv4: the dimension of a local descriptor before the PCA."""
        return 4 * self.width * EXPANSION

    def bottlenecks(self, stage: int) -> Iterator[tuple[int, int, int]]:
        """Yield ``(input channels, inner channels, stride)`` of each block of conv ``stage`` (2 to 5)."""
        inner = self.width * 2 ** (stage - 2)
        stage_input = self.width if stage == 2 else inner * EXPANSION // 2
        for block in range(self.blocks[stage - 2]):
            first = block == 0
            stride = 2 if first and stage > 2 else 1
            yield stage_input if first else inner * EXPANSION, inner, stride


# Keras subtracts the mean in BGR ("caffe" mode). delfjax.models.conversion flips the first kernel to
# RGB, so every network here takes RGB. Epsilon as in keras.applications.resnet.
RESNET50_V1 = ResNetSpec(
    name="resnet50_v1",
    stride_in="1x1",
    conv_bias=True,
    epsilon=1.001e-5,
    mean=(123.68, 116.779, 103.939),
    std=(1.0, 1.0, 1.0),
)
RESNET50_V15 = ResNetSpec(name="resnet50_v1.5", stride_in="3x3")
RESNET_TINY = replace(RESNET50_V1, name="resnet_tiny", blocks=(1, 1, 1, 1), width=4)  # for tests
SPECS = {spec.name: spec for spec in (RESNET50_V1, RESNET50_V15, RESNET_TINY)}


class Window(NamedTuple):
    """Kernel size, stride and padding of a convolution or pooling, in cells of its input."""

    kernel: int
    stride: int
    padding: int


def windows(spec: ResNetSpec) -> Iterator[Window]:
    """Yield the windows from the photo to conv4, in order, along the path with the largest reach."""
    yield same_window(STEM_KERNEL, 2)
    yield same_window(POOL_KERNEL, 2)
    for stage in (2, 3, 4):
        for _, _, stride in spec.bottlenecks(stage):
            stride_1x1, stride_3x3 = split_stride(spec, stride)
            yield same_window(1, stride_1x1)
            yield same_window(SPATIAL_KERNEL, stride_3x3)
            yield same_window(1, 1)


def same_window(kernel: int, stride: int) -> Window:
    """Return a window with symmetric padding, which centers cell ``i`` at input cell ``stride * i``."""
    return Window(kernel, stride, (kernel - 1) // 2)


def split_stride(spec: ResNetSpec, stride: int) -> tuple[int, int]:
    """Return the strides of a bottleneck's first 1x1 and of its 3x3 convolution."""
    return (stride, 1) if spec.stride_in == "1x1" else (1, stride)


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of a cell, in pixels of the network's input.

    Attributes:
        size: Height and width.
        stride: Distance between the centers of neighboring cells.
        offset: Center of cell 0. Pixel 0 is the center of the first pixel.
    """

    size: int
    stride: int
    offset: float

    def boxes_around(
        self, centers: Float[np.ndarray, "n 2"], pixel_size: Float[np.ndarray, "... 2"]
    ) -> Float[np.ndarray, "n 4"]:
        """Return the receptive fields on a photo that was resized for the network.

        Args:
            centers: Centers of the receptive fields, ``(y, x)`` in pixels of the photo.
            pixel_size: ``(height, width)`` of one pixel of the network's input, in pixels of the photo.

        Returns:
            ``(y_min, x_min, y_max, x_max)`` of each field: the centers of its outermost pixels, in pixels
            of the photo.
        """
        reach = (self.size - 1) / 2 * pixel_size
        return np.concatenate([centers - reach, centers + reach], axis=-1)


def receptive_field(spec: ResNetSpec) -> ReceptiveField:
    """Compute the receptive field of a conv4 cell from the windows of the network.

    Each window of kernel ``k``, stride ``s`` and padding ``p`` updates the size ``r``, the offset ``o`` and
    the stride ``j``: ``r += (k - 1) j; o += ((k - 1)/2 - p) j; j *= s``.

    Returns:
        Size 291 and stride 16 for ResNet-50 v1, 267 and 16 for v1.5. The offset of both is 0.
    """
    size, jump, offset = 1, 1, 0.0
    for kernel, stride, padding in windows(spec):
        size += (kernel - 1) * jump
        offset += ((kernel - 1) / 2 - padding) * jump
        jump *= stride
    return ReceptiveField(size, jump, offset)
