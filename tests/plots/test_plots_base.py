"""Tests of figures in general: encoding, saving and the photo grid."""

import io

import numpy as np
import pytest
from PIL import Image

from delfjax import plots
from delfjax.plots import base
from delfjax.plots.base import encode_jpeg, fit_size
from delfjax.types import Box

PHOTO = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def line_figure():
    figure, axes = plots.subplots(3, 2)
    axes[0, 0].plot([0, 1], [0, 1])
    return figure


@pytest.mark.parametrize(
    ("figure", "kind"), [(plots.photos([PHOTO, PHOTO]), "JPEG"), (line_figure(), "PNG")]
)
def test_notebook_shows_photos_as_jpeg_and_lines_as_png(figure, kind):
    ((name, data),), metadata = (part.items() for part in figure._repr_mimebundle_())
    image = Image.open(io.BytesIO(data))
    assert image.format == kind
    ((same_name, size),) = metadata
    assert name == same_name == f"image/{kind.lower()}"
    for side in ("width", "height"):
        assert size[side] == pytest.approx(getattr(image, side) / base.DENSITY[kind.lower()], abs=1)
    assert 150 < size["width"] < 1400
    assert np.asarray(image).std() > 5


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".pdf"])
def test_save_creates_the_folder(tmp_path, suffix):
    path = tmp_path / "figures" / f"figure{suffix}"
    plots.photos([PHOTO]).save(path)
    assert path.stat().st_size > 1000


def test_photo_grid_fills_rows_in_reading_order():
    figure = plots.photos([PHOTO, PHOTO, PHOTO], ["a", "b"], columns=2)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b", "", ""]
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 0]


def test_photos_of_one_row_have_the_same_height():
    figure = plots.photos([PHOTO, PHOTO[:, :20]], ["wide", "narrow"])
    figure.draw_without_rendering()
    wide, narrow = (ax.get_window_extent() for ax in figure.axes)
    assert narrow.height == pytest.approx(wide.height, rel=0.05)
    assert narrow.width < wide.width


def test_box_is_drawn_between_pixels():
    figure = plots.photos([PHOTO, PHOTO], boxes=[None, Box(10, 20, 30, 50)])
    assert not figure.axes[0].patches
    (patch,) = figure.axes[1].patches
    assert patch.get_xy() == (19.5, 9.5)
    assert (patch.get_width(), patch.get_height()) == (30, 20)


@pytest.mark.parametrize("size", [(48, 64), (64, 20), (9, 1000)])
def test_fit_size_fills_one_side_and_keeps_the_aspect_ratio(size):
    height, width = fit_size(size, (300, 400))
    assert height == 300 or width == 400
    assert height <= 300
    assert width <= 400
    assert height == pytest.approx(width * size[0] / size[1], abs=1)


def test_encode_jpeg_keeps_the_size():
    assert Image.open(io.BytesIO(encode_jpeg(PHOTO))).size == (64, 48)


def test_all_public_names_exist():
    for name in plots.__all__:
        assert getattr(plots, name) is not None
