"""Cropping and rescaling of training photos."""

from functools import partial

import jax
import numpy as np
import pytest
from worlds import draw

from delfjax.training.config import PAPER_GAMMAS, AugmentationConfig
from delfjax.training.data import center_square, sample_input_size
from delfjax.training.step import augment, center_crop

PAPER = AugmentationConfig(resize=900, crop=720, gammas=PAPER_GAMMAS)
jit_augment = jax.jit(augment, static_argnames=("crop", "size"))


def squares(count: int, side: int = 40) -> np.ndarray:
    return np.stack([draw(seed, (side, side), block=1) for seed in range(count)])


def find_crop(crop: np.ndarray, photo: np.ndarray) -> list[tuple[int, int]]:
    """Return the top left corners at which a crop occurs in a photo."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, crop.shape)[:, :, 0]
    return [tuple(corner) for corner in np.argwhere((windows == crop).all((2, 3, 4)))]


# --- gammas and sizes


def test_all_gammas_are_equally_frequent():
    sizes = [sample_input_size(PAPER, seed=0, step=step) for step in range(2000)]
    counts = np.array([sizes.count(size) for size in PAPER.input_sizes])
    assert counts.sum() == 2000
    assert abs(counts - 400).max() < 90  # five standard deviations


def test_size_depends_only_on_seed_and_step():
    first, same, other = (
        [sample_input_size(PAPER, seed=seed, step=step) for step in range(50)] for seed in (0, 0, 1)
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": 901}, "crop is 901; expected 1 to 900"),
        ({"crop": 0}, "crop is 0"),
        ({"crop": 720, "gammas": ()}, "gammas is ()"),
        ({"crop": 720, "gammas": (0.5, 1.5)}, "expected each to be a number above 0 and at most 1"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        AugmentationConfig(resize=900, **settings)


# --- crops


def test_every_crop_comes_from_its_photo_at_a_corner_of_its_own():
    photos = squares(12)
    crops = np.asarray(jit_augment(jax.random.key(0), photos, crop=32, size=32))
    assert crops.dtype == np.float32
    corners = [find_crop(crop, photo) for crop, photo in zip(crops, photos, strict=True)]
    assert all(len(found) == 1 for found in corners)
    assert len({found[0] for found in corners}) > 6


def test_all_corners_are_possible():
    photo = squares(1, 4)
    keys = jax.random.split(jax.random.key(0), 200)
    crops = np.asarray(jax.vmap(lambda key: jit_augment(key, photo, crop=3, size=3))(keys))[:, 0]
    corners = {find_crop(crop, photo[0])[0] for crop in crops}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_same_key_gives_same_crops():
    photos = squares(4)
    first, same, other = (
        np.asarray(jit_augment(jax.random.key(seed), photos, crop=30, size=20))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize("size", [7, 15, 30])
def test_rescaling_keeps_brightness_and_does_not_alias(size):
    """A fine checkerboard becomes gray. Skipping pixels would leave it black or white."""
    board = (np.indices((30, 30)).sum(0) % 2 * 255).astype(np.uint8)
    photos = np.repeat(board[None, :, :, None], 3, axis=3)
    crop = np.asarray(jit_augment(jax.random.key(0), photos, crop=30, size=size))
    assert crop.shape == (1, size, size, 3)
    np.testing.assert_allclose(crop.mean(), 127.5, atol=2)
    if size < 16:
        np.testing.assert_allclose(crop, 127.5, atol=40)


def test_center_crop_cuts_the_center():
    photos = squares(2, 40)
    center = jax.jit(partial(center_crop, crop=30))(photos)
    np.testing.assert_array_equal(center, photos[:, 5:35, 5:35])


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (50, 50), (41, 60)])
def test_center_square_is_the_largest_centered_square(size):
    photo = draw(0, size, block=1)
    square = center_square(photo)
    side = min(size)
    assert square.shape == (side, side, 3)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    assert find_crop(square, photo) == [(top, left)]
