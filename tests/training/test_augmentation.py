"""What happens to photos: cuts, mirrors, sizes, and that the same key does the same."""

from functools import partial

import jax
import numpy as np
import pytest
from worlds import draw

from delfjax.training.augmentation import (
    PAPER_GAMMAS,
    AugmentationConfig,
    augment,
    center,
    center_square,
    draw_size,
)

PAPER = AugmentationConfig(square=900, crop=720, gammas=PAPER_GAMMAS)
cut = jax.jit(augment, static_argnames=("crop", "size", "flip"))


def squares(count: int, side: int = 40) -> np.ndarray:
    return np.stack([draw(seed, (side, side), block=1) for seed in range(count)])


def found_in(part: np.ndarray, whole: np.ndarray) -> list[tuple[int, int]]:
    """Return where a part lies in a photo."""
    windows = np.lib.stride_tricks.sliding_window_view(whole, part.shape)[:, :, 0]
    return [tuple(place) for place in np.argwhere((windows == part).all((2, 3, 4)))]


# --- gammas and sizes


def test_sizes_of_the_paper():
    assert PAPER.sizes == (180, 255, 360, 509, 720)


def test_each_gamma_is_drawn_as_often():
    drawn = [draw_size(PAPER, seed=0, step=step) for step in range(2000)]
    counts = np.array([drawn.count(size) for size in PAPER.sizes])
    assert counts.sum() == 2000
    assert abs(counts - 400).max() < 90  # five standard deviations


def test_size_depends_on_seed_and_step_alone():
    drawn = [[draw_size(PAPER, seed=seed, step=step) for step in range(50)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": 901}, "crop is 901; expected 1 to 900"),
        ({"crop": 0}, "crop is 0"),
        ({"crop": 720, "gammas": ()}, "gammas are ()"),
        ({"crop": 720, "gammas": (0.5, 1.5)}, "expected factors over 0, at most 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        AugmentationConfig(square=900, **settings)


# --- cuts


def test_parts_are_cut_from_their_photos_each_elsewhere():
    photos = squares(12)
    parts = np.asarray(cut(jax.random.key(0), photos, crop=32, size=32))
    assert parts.dtype == np.float32
    places = [found_in(part, photo) for part, photo in zip(parts, photos, strict=True)]
    assert all(len(place) == 1 for place in places)
    assert len({place[0] for place in places}) > 6


def test_every_corner_is_reached():
    photo = squares(1, 4)
    keys = jax.random.split(jax.random.key(0), 200)
    parts = np.asarray(jax.vmap(lambda key: cut(key, photo, crop=3, size=3))(keys))[:, 0]
    places = {found_in(part, photo[0])[0] for part in parts}
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_same_key_same_cut():
    photos = squares(4)
    one, same, other = (
        np.asarray(cut(jax.random.key(seed), photos, crop=30, size=20, flip=True))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_half_of_the_photos_are_mirrored():
    photos = squares(1, 8).repeat(64, 0)
    parts = np.asarray(cut(jax.random.key(0), photos, crop=8, size=8, flip=True))
    mirrored = (parts == photos[:, :, ::-1]).all((1, 2, 3))
    assert ((parts == photos).all((1, 2, 3)) ^ mirrored).all()
    assert 16 < mirrored.sum() < 48


@pytest.mark.parametrize("size", [7, 15, 30])
def test_rescaling_keeps_brightness_and_does_not_alias(size):
    """A fine checkerboard shrinks to gray: to skip pixels would leave it black or white."""
    board = (np.indices((30, 30)).sum(0) % 2 * 255).astype(np.uint8)
    photos = np.repeat(board[None, :, :, None], 3, axis=3)
    part = np.asarray(cut(jax.random.key(0), photos, crop=30, size=size))
    assert part.shape == (1, size, size, 3)
    np.testing.assert_allclose(part.mean(), 127.5, atol=2)
    if size < 16:
        np.testing.assert_allclose(part, 127.5, atol=40)


def test_validation_sees_the_middle():
    photos = squares(2, 40)
    middle = jax.jit(partial(center, crop=30))(photos)
    np.testing.assert_array_equal(middle, photos[:, 5:35, 5:35])


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (50, 50), (41, 60)])
def test_center_square_is_the_largest_in_the_middle(size):
    photo = draw(0, size, block=1)
    square = center_square(photo)
    side = min(size)
    assert square.shape == (side, side, 3)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    assert found_in(square, photo) == [(top, left)]
