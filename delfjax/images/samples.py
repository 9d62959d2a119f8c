"""Photos to try things on without any data set: scikit-learn's two, and views of them made here.

`synthetic_view` photographs a photo anew from a known direction and in another light, so that what
RANSAC finds can be held against the truth.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image
from sklearn.datasets import load_sample_image

from delfjax.types import Photo


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticView:
    """A made photo and the truth about it.

    Attributes:
        photo: The pixels.
        affine: The map from the original's ``(y, x, 1)`` to this photo's ``(y, x)``.
    """

    photo: Photo
    affine: Float[np.ndarray, "2 3"]


def temple() -> Photo:
    """Return ``china.jpg`` of scikit-learn: a pavilion above a lake, 427 x 640 (CC BY 2.0)."""
    return load_sample_image("china.jpg")


def flower() -> Photo:
    """Return ``flower.jpg`` of scikit-learn, 427 x 640 (CC BY 2.0)."""
    return load_sample_image("flower.jpg")


def synthetic_view(
    photo: Photo,
    *,
    size: tuple[int, int] = (360, 400),
    zoom: float = 1.1,
    turn: float = 8.0,
    squeeze: float = 0.85,
    seed: int = 0,
) -> SyntheticView:
    """Photograph a photo anew: turned, squeezed as if from the side, in dim light, with noise.

    Args:
        photo: The original.
        size: ``(height, width)`` of the view, in pixels.
        zoom: Pixels of the view for one of the original.
        turn: Anticlockwise, in degrees.
        squeeze: Width against height, as by foreshortening.
        seed: Of the noise.
    """
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * rotation @ np.diag([1.0, squeeze])
    # A point left of the center of the original comes to the middle of the view.
    middle = np.array([photo.shape[0] * 0.5, photo.shape[1] * 0.42])
    shift = (np.array(size) - 1) / 2 - linear @ middle
    inverse = np.linalg.inv(linear)
    back = np.c_[inverse, -inverse @ shift]
    # Pillow wants output (x, y) to input (x, y), with (0, 0) at the corner of the first pixel.
    (a, b, c), (d, e, f) = back
    corner = (f + 0.5 - 0.5 * (e + d), c + 0.5 - 0.5 * (b + a))
    seen = Image.fromarray(photo).transform(
        size[::-1],
        Image.Transform.AFFINE,
        (e, d, corner[0], b, a, corner[1]),
        Image.Resampling.BICUBIC,
        fillcolor=(96, 96, 96),
    )
    dim = 255 * (np.asarray(seen, np.float32) / 255) ** 1.25 * np.array([1.0, 0.95, 0.85])
    noisy = dim + np.random.default_rng(seed).normal(0, 4, dim.shape)
    return SyntheticView(photo=noisy.clip(0, 255).astype(np.uint8), affine=np.c_[linear, shift])
