"""Specify a ResNet, and compute the receptive field of conv4 (Sec. 4.1; He et al. 2016).

ResNet-50 has two variants. In **v1** (He et al., Keras and the paper), the first 1x1 convolution of
a stage has stride 2, and the receptive field is 291 pixels. In **v1.5** (torchvision), the first
3x3 convolution has stride 2, and the receptive field is 267 pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from delfjax.ranges import COUNT, POSITIVE, Range, check_fields

# He et al. 2016, Table 1.
EXPANSION = 4  # output channels of a bottleneck per inner channel
STEM_KERNEL, POOL_KERNEL, SPATIAL_KERNEL = 7, 3, 3
Padding = Literal["symmetric", "tensorflow"]
NUMBER = Range()
# The center of cell 0 of conv4, and a pixel that must be inside the photo, or this cell does not exist.
# With the padding of TensorFlow, they hold for a photo whose even sides start at pixel 0, and odd sides at 1.
CELL_CENTER: dict[Padding, int] = {"symmetric": 0, "tensorflow": 3}
CELL_END: dict[Padding, int] = {"symmetric": 0, "tensorflow": 5}


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """Layer sizes and input normalization of a ResNet.

    Attributes:
        name: Name of the network.
        stride_in: Convolution that has the stride of a stage: ``"1x1"`` (v1) or ``"3x3"`` (v1.5).
        blocks: Numbers of bottleneck blocks in conv2, conv3, conv4 and conv5.
        width: Number of channels of the stem and of the 3x3 convolutions in conv2. This number
            doubles from each stage to the next.
        conv_bias: Whether convolutions have a bias in addition to the batch norm, as in Keras.
        epsilon: Constant that batch norms add to the variance.
        mean: RGB mean of photos with values from 0 to 255. The mean is subtracted from each photo.
        std: RGB standard deviation. After the subtraction, photos are divided by ``std``.
        padding: Padding of the first convolution and of max pooling. ``"symmetric"``: on all
            sides, 3 pixels for the convolution and 1 for pooling. ``"tensorflow"``, as in DELF and
            DELG of TensorFlow 2: ``SAME`` for the convolution (an even side gets 2 pixels before and
            3 after it, an odd side 3 and 3), and ``VALID`` (no padding) for max pooling.
    """

    name: str
    stride_in: Literal["1x1", "3x3"]
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 64
    conv_bias: bool = False
    epsilon: float = 1e-5
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    padding: Padding = "symmetric"

    def __post_init__(self) -> None:
        check_fields(self, width=COUNT, blocks=COUNT, epsilon=POSITIVE, mean=NUMBER, std=POSITIVE)

    @property
    def channels(self) -> int:
        """Number of channels of conv4. Without a projection, a local descriptor has as many dimensions."""
        return 4 * self.width * EXPANSION

    def bottlenecks(self, stage: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """Yield the sizes of each bottleneck block of a stage, from 2 (conv2) to 5 (conv5).

        The sizes are ``(cin, inner, (stride_1x1, stride_3x3))``: the numbers of channels of the
        input and of the 3x3 convolution, and the strides of the first 1x1 and 3x3 convolutions.
        """
        inner = self.width * 2 ** (stage - 2)
        stage_input = self.width if stage == 2 else inner * EXPANSION // 2
        for block in range(self.blocks[stage - 2]):
            first = block == 0
            stride = 2 if first and stage > 2 else 1
            strides = (stride, 1) if self.stride_in == "1x1" else (1, stride)
            yield stage_input if first else inner * EXPANSION, inner, strides


# Keras subtracts the mean in BGR ("caffe" mode). delfjax.models.conversion flips the first kernel
# to RGB, so every network here takes RGB. Epsilon as in keras.applications.resnet.
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
PUBLISHED = (RESNET50_V1.name, RESNET50_V15.name)  # backbones with published ImageNet weights
SPECS = {spec.name: spec for spec in (RESNET50_V1, RESNET50_V15, RESNET_TINY)}


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of a position of the conv4 feature map, in pixels of the network's input.

    Attributes:
        size: Height and width of the receptive field, which is square.
        stride: Distance between the centers of adjacent receptive fields. The first center is at
            pixel 0. With TensorFlow padding, it is at pixel 3 of an image side with an even length,
            and at pixel 2 of a side with an odd length.
    """

    size: int
    stride: int

    def boxes_around(
        self, centers: Float[np.ndarray, "n 2"], pixel_size: Float[np.ndarray, "... 2"]
    ) -> Float[np.ndarray, "n 4"]:
        """Return the bounding boxes of receptive fields, in pixels of the photo before resizing.

        Args:
            centers: Centers ``(y, x)`` of the receptive fields, in pixels of the photo.
            pixel_size: Height and width of a pixel of the network's input, in pixels of the photo.

        Returns:
            Boxes ``(y_min, x_min, y_max, x_max)``. The edges of a box pass through the centers of
            the outermost pixels in the receptive field.
        """
        reach = (self.size - 1) / 2 * pixel_size
        return np.concatenate([centers - reach, centers + reach], axis=-1)


def receptive_field(spec: ResNetSpec) -> ReceptiveField:
    """Compute the receptive field of conv4: 291 pixels for ResNet-50 v1, 267 pixels for v1.5.

    The size ``r`` and the stride ``j`` of the receptive field start at 1. Each layer with kernel
    size ``k`` and stride ``s`` updates them: ``r += (k - 1) j``, then ``j *= s``.
    """
    layers = [(STEM_KERNEL, 2), (POOL_KERNEL, 2)]
    for stage in (2, 3, 4):
        for _, _, (stride_1x1, stride_3x3) in spec.bottlenecks(stage):
            layers += [(1, stride_1x1), (SPATIAL_KERNEL, stride_3x3)]
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return ReceptiveField(size, jump)
