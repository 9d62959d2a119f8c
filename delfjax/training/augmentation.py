"""Crop and rescale training photos (Secs. 4.1 and 4.2).

The CPU crops a photo to its largest centered square and resizes it. The accelerator cuts a random crop
and rescales the whole batch by one random factor gamma. Every factor gives a batch of another shape, and
so is compiled once. `delfjax.training.config.AugmentationConfig` sets sizes and factors.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from delfjax.training.config import AugmentationConfig
from delfjax.types import Photo


def sample_input_size(config: AugmentationConfig, *, seed: int, step: int) -> int:
    """Choose the gamma of a step at random, and return the side of its batch in pixels.

    Args:
        config: The sizes to choose from.
        seed: Seed of the run.
        step: Number of the step. The same seed and step give the same size.
    """
    return int(np.random.default_rng((seed, step)).choice(config.input_sizes))


def augment(
    key: PRNGKeyArray,
    squares: UInt8[Array, "b h h 3"],
    *,
    crop: int,
    size: int,
) -> Float[Array, "b {size} {size} 3"]:
    """Cut a random crop from each square photo, and rescale it.

    Args:
        key: Random key. The same key gives the same crops.
        squares: Square photos, 0 to 255.
        crop: Side of the crops, in pixels.
        size: Side after rescaling, in pixels.

    Returns:
        The crops, 0 to 255.
    """
    key, _ = jax.random.split(key)
    corners = jax.random.randint(key, (len(squares), 2), 0, squares.shape[1] - crop + 1)
    crops = jax.vmap(lambda square, corner: _crop(square, corner, crop))(squares, corners)
    crops = crops.astype(jnp.float32)
    if size == crop:
        return crops
    return jax.image.resize(crops, (len(crops), size, size, 3), "linear", antialias=True)


def _crop(square: UInt8[Array, "h h 3"], corner: Array, side: int) -> UInt8[Array, "s s 3"]:
    return jax.lax.dynamic_slice(square, (corner[0], corner[1], 0), (side, side, 3))


def center_crop(squares: UInt8[Array, "b h h 3"], crop: int) -> Float[Array, "b {crop} {crop} 3"]:
    """Cut the center of each square photo, for validation."""
    start = (squares.shape[1] - crop) // 2
    return squares[:, start : start + crop, start : start + crop].astype(jnp.float32)


def center_square(photo: Photo) -> UInt8[np.ndarray, "s s 3"]:
    """Return the largest centered square of a photo."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[top : top + side, left : left + side]
