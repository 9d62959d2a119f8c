"""What happens to a training photo on its way into the network (Secs. 4.1 and 4.2).

The host cuts the largest centered square out of a photo and rescales it to ``square`` pixels; the
accelerator cuts a random part of ``crop`` pixels from it and, for the attention, rescales the whole batch
by one random ``gamma``. One gamma is one shape, so five gammas are five compiled programs.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from delfjax.types import Photo

PAPER_GAMMAS = (0.25, 0.3536, 0.5, 0.7072, 1.0)  # Sec. 4.2; drawn uniformly, says the author


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How a photo is cut and rescaled.

    Attributes:
        square: Side that the centered square is rescaled to, in pixels.
        crop: Side of the random part of it.
        gammas: Factors of which each step draws one, for its whole batch.
        flip: Whether to mirror every other photo. Not in the paper.
    """

    square: int
    crop: int
    gammas: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.square:
            raise ValueError(
                f"crop is {self.crop}; expected 1 to {self.square}, the side of the square"
            )
        if not self.gammas or min(self.gammas) <= 0 or max(self.gammas) > 1:
            raise ValueError(f"gammas are {self.gammas}; expected factors over 0, at most 1")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Side of what the network sees, for each gamma: 180, 255, 360, 509 and 720 in the paper."""
        return tuple(round(gamma * self.crop) for gamma in self.gammas)


def draw_size(config: AugmentationConfig, *, seed: int, step: int) -> int:
    """Draw a step's gamma, and return the side that its whole batch has then."""
    return int(np.random.default_rng((seed, step)).choice(config.sizes))


def augment(
    key: PRNGKeyArray,
    photos: UInt8[Array, "b h h 3"],
    *,
    crop: int,
    size: int,
    flip: bool = False,
) -> Float[Array, "b {size} {size} 3"]:
    """Cut a random part of each square, mirror it perhaps, and rescale it.

    Args:
        key: Randomness; the same key cuts the same parts.
        photos: Squares.
        crop: Side of the parts.
        size: Side after rescaling.
        flip: Whether to mirror every other photo.
    """
    where, mirrored = jax.random.split(key)
    margin = photos.shape[1] - crop
    corners = jax.random.randint(where, (len(photos), 2), 0, margin + 1)
    parts = jax.vmap(lambda photo, corner: _cut(photo, corner, crop))(photos, corners)
    if flip:
        coins = jax.random.bernoulli(mirrored, shape=(len(photos), 1, 1, 1))
        parts = jnp.where(coins, parts[:, :, ::-1], parts)
    return _rescale(parts, size)


def center(photos: UInt8[Array, "b h h 3"], *, crop: int) -> Float[Array, "b {crop} {crop} 3"]:
    """Cut the middle of each square: what validation sees."""
    start = (photos.shape[1] - crop) // 2
    return photos[:, start : start + crop, start : start + crop].astype(jnp.float32)


def _cut(photo: UInt8[Array, "h h 3"], corner: Array, side: int) -> UInt8[Array, "s s 3"]:
    return jax.lax.dynamic_slice(photo, (corner[0], corner[1], 0), (side, side, 3))


def _rescale(photos: UInt8[Array, "b s s 3"], size: int) -> Float[Array, "b t t 3"]:
    """Shrink without aliasing."""
    photos = photos.astype(jnp.float32)
    if photos.shape[1] == size:
        return photos
    return jax.image.resize(photos, (len(photos), size, size, 3), "linear", antialias=True)


def center_square(photo: Photo) -> UInt8[np.ndarray, "s s 3"]:
    """Return the largest centered square of a photo."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[top : top + side, left : left + side]
