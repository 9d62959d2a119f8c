"""Make a synthetic view of a photo, with known geometry, for `00_quickstart`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from delfjax.types import Photo


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticView:
    """A synthetic view of a photo, with its ground truth.

    Attributes:
        photo: The pixels of the view.
        affine: Affine map from ``(y, x, 1)`` in the original photo to ``(y, x)`` in the view.
    """

    photo: Photo
    affine: Float[np.ndarray, "2 3"]


def synthetic_view(
    photo: Photo,
    *,
    size: tuple[int, int] = (360, 400),
    rotation: float = 8.0,
    seed: int = 0,
) -> SyntheticView:
    """Warp a photo by a known affine map, then darken it and add noise.

    The map enlarges the photo by a factor of 1.1, reduces its width to 85 %, and rotates it.

    Args:
        photo: The original photo.
        size: ``(height, width)`` of the view in pixels.
        rotation: Rotation in degrees, counterclockwise.
        seed: Random seed of the noise.
    """
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = 1.1 * turn @ np.diag([1.0, 0.85])
    # The center of the view shows a point slightly left of the center of the original photo.
    middle = np.array([photo.shape[0] * 0.5, photo.shape[1] * 0.42])
    shift = (np.array(size) - 1) / 2 - linear @ middle
    inverse = np.linalg.inv(linear)
    # Pillow needs the inverse map on (x, y), with (0, 0) at the corner of the first pixel.
    (a, b, c), (d, e, f) = np.c_[inverse, -inverse @ shift]
    corner = (f + 0.5 - 0.5 * (e + d), c + 0.5 - 0.5 * (b + a))
    warped = Image.fromarray(photo).transform(
        size[::-1],
        Image.Transform.AFFINE,
        (e, d, corner[0], b, a, corner[1]),
        Image.Resampling.BICUBIC,
        fillcolor=(96, 96, 96),
    )
    dark = 255 * (np.asarray(warped, np.float32) / 255) ** 1.25 * np.array([1.0, 0.95, 0.85])
    noisy = dark + np.random.default_rng(seed).normal(0, 4, dark.shape)
    return SyntheticView(photo=noisy.clip(0, 255).astype(np.uint8), affine=np.c_[linear, shift])
