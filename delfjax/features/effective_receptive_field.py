"""Where cells look: not quite at the center of their receptive field, and why.

Keypoints are put at the center of what a cell can see (Sec. 4.1). What it answers to can be measured, by small
patches on an empty canvas; and it can be seen in the kernels, which for ImageNet's weights lean to one side. Not
in the paper. That kernels come to lean where padding is used up on one side only, as with strides on maps of an
even size: Alsallakh et al., "Mind the Pad -- CNNs Can Develop Blind Spots", ICLR 2021.
"""

from collections.abc import Sequence

import numpy as np
from flax import nnx
from jaxtyping import Float

from delfjax.features.pyramid import STRIDE
from delfjax.models.backbone import ResNet
from delfjax.types import Photo

CANVAS = 384  # pixels a side: more than a receptive field around every patch
AT_ONCE = 8  # canvases


def receptive_field_offsets(
    backbone: ResNet, photos: Sequence[Photo], *, patch: int = 17, count: int = 40, seed: int = 0
) -> Float[np.ndarray, "count 2"]:
    """Measure how far from the centers of the cells that answer a thing lies, ``(y, x)`` in pixels.

    Patches, cut out of photos at random, are put one by one on a canvas of the mean color, near its middle.
    The answer of a cell is the square of what the patch changes of its descriptor; the center of mass of all
    answers is compared with the patch's center. 0 where a network looks straight ahead; above 0 where a patch
    excites cells up and to the left of it.

    Args:
        backbone: The network.
        photos: To cut from; each larger than a patch.
        patch: Pixels a side.
        count: Patches.
        seed: Of what is cut, and where it is put.
    """
    random = np.random.default_rng(seed)
    empty = np.tile(np.float32(backbone.spec.mean), (CANVAS, CANVAS, 1))
    canvases, places = np.tile(empty, (count, 1, 1, 1)), np.empty((count, 2))
    for canvas, place in zip(canvases, places, strict=True):
        photo = photos[random.integers(len(photos))]
        top, left = (random.integers(size - patch + 1) for size in photo.shape[:2])
        y, x = random.integers((CANVAS - patch) // 2 - STRIDE, (CANVAS - patch) // 2 + STRIDE, 2)
        canvas[y : y + patch, x : x + patch] = photo[top : top + patch, left : left + patch]
        place[:] = y + (patch - 1) / 2, x + (patch - 1) / 2
    describe = nnx.jit(lambda network, images: network(images)["conv4"])
    blank = describe(backbone, empty[None])
    found = [
        np.square(describe(backbone, canvases[start : start + AT_ONCE]) - blank).sum(-1)
        for start in range(0, count, AT_ONCE)
    ]
    return places - STRIDE * _centers_of_mass(np.concatenate(found))


def kernel_offsets(backbone: ResNet) -> dict[str, Float[np.ndarray, " 2"]]:
    """Return where the weight of each layer's kernels lies, ``(y, x)`` in taps from the middle tap.

    Of squared weights, all channels together, by the name of the layer's block, from the stem on. Layers of one
    tap have no side to lean to, and are left out.
    """
    found = {}
    for path, parameter in nnx.to_flat_state(nnx.state(backbone, nnx.Param)):
        kernel = np.asarray(parameter[...], np.float32)
        if kernel.ndim == 4 and min(kernel.shape[:2]) > 1:
            weight = np.square(kernel).sum((2, 3))
            middle = (np.array(weight.shape) - 1) / 2
            block = [str(part) for part in path if part not in ("spatial", "conv", "kernel")]
            found[".".join(block)] = _centers_of_mass(weight[None])[0] - middle
    return dict(sorted(found.items(), key=lambda layer: (layer[0] != "stem", layer[0])))


def _centers_of_mass(maps: Float[np.ndarray, "b h w"]) -> Float[np.ndarray, "b 2"]:
    """Return the mean ``(y, x)`` of each map, its cells weighted by their values."""
    total = maps.sum((1, 2))
    rows, columns = (np.arange(size) for size in maps.shape[1:])
    return np.stack([maps.sum(2) @ rows, maps.sum(1) @ columns], 1) / total[:, None]
