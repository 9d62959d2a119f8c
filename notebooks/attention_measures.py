"""Measures of score maps and of receptive fields for `04_attention`. They are not in the paper.

A cell is one position of the network's output. A keypoint is placed at the center of a cell's
receptive field (Sec. 4.1). The part that the cell responds to can lie beside that center, because
the kernels of ImageNet networks are not symmetric. A likely cause is padding on one side (Alsallakh
et al., "Mind the Pad", ICLR 2021).
"""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float
from scipy.ndimage import center_of_mass, gaussian_filter, shift
from sklearn.metrics import average_precision_score

from delfjax.evaluation.report import hit_rate
from delfjax.features.extraction import ScoreMaps, Selection
from delfjax.features.pyramid import STRIDE
from delfjax.models.backbone import ResNet
from delfjax.types import Features, Photo

IMAGE_SIDE = 384  # pixels; contains the whole receptive field of every cell near the middle
PATCH_SIZE = 17  # pixels
BATCH = 8  # images per call of the network
LEAN = 8  # pixels of a pyramid level: half a stride, near the offsets that we measured


def hit_rates(
    photos: Sequence[Features],
    masks: Sequence[Bool[np.ndarray, "h w"]],
    counts: Sequence[int],
    *,
    offset: float = 0,
) -> Float[np.ndarray, "photos k"]:
    """Compute the hit rates of each photo, after all keypoints are moved down and to the right.

    An offset tests the positions of keypoints. If features respond to something beside the center of
    their receptive field, the hit rate is highest at an offset other than 0.

    Args:
        photos: Features of each photo, best score first.
        masks: For each photo, True at the pixels that show the landmark.
        counts: Numbers of best keypoints to use.
        offset: Distance by which `lean` moves the keypoints.

    Returns:
        For each photo, one hit rate per count, 0 to 1. NaN if the photo has fewer keypoints than the
        count.
    """
    rates = []
    for features, mask in zip(photos, masks, strict=True):
        rates.append(hit_rate(lean(features, offset), mask, counts))
    return np.array(rates)


def lean(features: Features, offset: float = LEAN) -> Features:
    """Move keypoints down and to the right, to what their cells respond to.

    ``offset`` is in pixels of the pyramid level (the resized photo) of each feature. Keypoints that
    leave the photo are moved to its edge.
    """
    moved = features.positions + offset / features.scales[:, None]
    inside = moved.clip(0, np.array(features.image_size) - 1)
    return replace(features, positions=inside.astype(np.float32))


def lean_heatmap(
    maps: ScoreMaps,
    score: Selection = "attention",
    level: int | None = None,
    *,
    offset: float = LEAN,
) -> Float[np.ndarray, "h w"]:
    """Compute a heatmap like `ScoreMaps.heatmap`, moved down and to the right as by `lean`."""
    moved = []
    for number in range(len(maps.sizes)) if level is None else [level]:
        heat = maps.heatmap(score, number)
        distance = offset * np.array(heat.shape) / maps.sizes[number]
        moved.append(shift(heat, distance, order=1, mode="nearest"))
    return np.max(moved, axis=0)


def pixel_influence(
    backbone: ResNet, *, count: int = 4, seed: int = 0
) -> Float[np.ndarray, "side side"]:
    """Compute how much each pixel influences a cell of conv4, by the gradient of its squared norm.

    The cell has its center in the middle of the image. Images are smooth noise, because the gradient
    also depends on the image. The squared gradient is averaged over ``count`` images.
    """
    random, middle = np.random.default_rng(seed), IMAGE_SIDE // 2 // STRIDE

    @nnx.jit
    def gradient(network: ResNet, image: jax.Array) -> jax.Array:
        def squared_norm(image: jax.Array) -> jax.Array:
            return jnp.square(network(image[None])["conv4"][0, middle, middle]).sum()

        return jax.grad(squared_norm)(image)

    influence = np.zeros((IMAGE_SIDE + 1, IMAGE_SIDE + 1))
    for _ in range(count):
        noise = gaussian_filter(random.normal(size=(*influence.shape, 3)), (3, 3, 0))
        image = np.float32(backbone.spec.mean + 50 * noise / noise.std())
        squared = np.square(gradient(backbone, image)).sum(-1)
        influence += squared / squared.sum() / count
    return influence


def receptive_field_offsets(
    backbone: ResNet, photos: Sequence[Photo], *, count: int = 24, seed: int = 0
) -> Float[np.ndarray, "count 2"]:
    """Measure how far a patch of a photo lies from the network cells that respond to the patch.

    Patches are cut from photos at random. Each is placed near the middle of an image of the mean
    color. The response of a cell is the squared change of its descriptor. The average offset of a
    symmetric network is 0. If an offset is positive, cells above and to the left of the patch
    respond.

    Args:
        backbone: The network.
        photos: Photos to cut patches from.
        count: Number of patches.
        seed: Random seed for the choice and the position of the patches.

    Returns:
        For each patch, the center of the patch minus the center of mass of all responses: ``(y, x)``
        in pixels.
    """
    random = np.random.default_rng(seed)
    empty = np.tile(np.float32(backbone.spec.mean), (IMAGE_SIDE, IMAGE_SIDE, 1))
    images, centers = np.tile(empty, (count, 1, 1, 1)), np.empty((count, 2))
    middle = (IMAGE_SIDE - PATCH_SIZE) // 2
    for image, center in zip(images, centers, strict=True):
        photo = photos[random.integers(len(photos))]
        top, left = (random.integers(size - PATCH_SIZE + 1) for size in photo.shape[:2])
        y, x = random.integers(middle - STRIDE, middle + STRIDE, 2)
        patch = photo[top : top + PATCH_SIZE, left : left + PATCH_SIZE]
        image[y : y + PATCH_SIZE, x : x + PATCH_SIZE] = patch
        center[:] = y + (PATCH_SIZE - 1) / 2, x + (PATCH_SIZE - 1) / 2
    describe = nnx.jit(lambda network, batch: network(batch)["conv4"])
    reference = describe(backbone, empty[None])
    responses = [
        np.square(describe(backbone, images[start : start + BATCH]) - reference).sum(-1)
        for start in range(0, count, BATCH)
    ]
    return centers - STRIDE * np.array([*map(center_of_mass, np.concatenate(responses))])


def kernel_offsets(backbone: ResNet) -> dict[str, Float[np.ndarray, " 2"]]:
    """Compute how far the center of mass of each layer's squared kernel weights is off the middle.

    Returns:
        Offset from the middle of the kernel to the center of mass, ``(y, x)`` in kernel elements, by
        layer name. The stem comes first. Layers with 1 x 1 kernels are left out.
    """
    offsets = {}
    for path, parameter in nnx.to_flat_state(nnx.state(backbone, nnx.Param)):
        kernel = np.asarray(parameter[...], np.float32)
        if kernel.ndim == 4 and min(kernel.shape[:2]) > 1:
            energy = np.square(kernel).sum((2, 3))
            middle = (np.array(energy.shape) - 1) / 2
            layer = [str(part) for part in path if part not in ("spatial", "conv", "kernel")]
            offsets[".".join(layer)] = np.array(center_of_mass(energy)) - middle
    return dict(sorted(offsets.items(), key=lambda item: (item[0] != "stem", item[0])))


def pixel_average_precision(
    scores: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Compute the average precision of scores that classify pixels as landmark or background.

    Args:
        scores: Score of each pixel.
        mask: True at the pixels that show the landmark.

    Returns:
        Average precision, 0 to 1. NaN if no pixel shows the landmark.
    """
    if not mask.any():
        return np.nan
    return float(average_precision_score(mask.ravel(), scores.ravel()))


def normalized_entropy(scores: Float[np.ndarray, "*shape"]) -> float:
    """Compute the entropy of a score map, divided by the highest possible entropy.

    Args:
        scores: Non-negative scores. Divided by their sum, they form a probability distribution.

    Returns:
        Entropy from 0 to 1. It is 1 if all scores are equal, and 0 if only one score is above 0.

    Raises:
        ValueError: If a score is negative, or if all scores are 0.
    """
    if (scores < 0).any() or not scores.sum() > 0:
        raise ValueError(
            "a score is negative, or all scores are 0; expected non-negative scores, at least one "
            "above 0"
        )
    probabilities = scores.ravel() / scores.sum()
    probabilities = probabilities[probabilities > 0]
    if scores.size == 1:
        return 0.0
    return float(-(probabilities * np.log(probabilities)).sum() / np.log(scores.size))
