"""Figures: they take what the library gives, and come out as pictures of a bearable size."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from delfjax.plots import base
from delfjax.types import Features, Matches

PHOTO = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
POINTS = np.random.default_rng(1).uniform(0, 48, (30, 2)).astype(np.float32)


def features():
    ones = np.ones(30, np.float32)
    descriptors = np.zeros((30, 4), np.float32)
    return Features(
        positions=POINTS, scales=ones, scores=ones, descriptors=descriptors, image_size=(48, 64)
    )


def putative():
    return Matches(query=POINTS, database=POINTS + 1, distances=np.zeros(30, np.float32))


DRAWN = {
    "photos": lambda: base.photos({"one": PHOTO, "two": PHOTO}),
    "heatmaps": lambda: base.heatmaps(PHOTO, {"norm": np.random.default_rng(0).random((48, 64))}),
    "keypoints": lambda: base.keypoints(PHOTO, features()),
    "matches": lambda: base.matches(PHOTO, PHOTO, putative()),
    "inliers": lambda: base.matches(PHOTO, PHOTO, putative(), np.arange(30) < 12),
    "no inliers": lambda: base.matches(PHOTO, PHOTO, putative(), np.zeros(30, bool)),
    "ranking": lambda: base.ranking(PHOTO, [(PHOTO, "12", True), (PHOTO, "3", False)]),
    "histogram": lambda: base.inlier_histogram([40, 60], [3, 5, 8], 20),
}


@pytest.mark.parametrize("name", DRAWN)
def test_shown_as_a_picture(name):
    drawing = DRAWN[name]()
    assert isinstance(drawing, Figure)
    shown = [drawing._repr_png_(), drawing._repr_jpeg_()]
    (data,) = [data for data in shown if data is not None]
    assert (shown[1] is not None) == (name != "histogram")  # photos as JPEG, lines as PNG
    picture = Image.open(io.BytesIO(data))
    assert 150 < picture.width < 2000
    assert np.asarray(picture).std() > 5


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".pdf"])
def test_save_makes_the_folder(tmp_path, suffix):
    path = tmp_path / "figures" / f"drawn{suffix}"
    DRAWN["matches"]().save(path)
    assert path.stat().st_size > 1000


def test_matches_are_drawn_at_x_y():
    """A match at (y, x) ends at (x, y) of the plot, the second photo's beside the first."""
    one = Matches(
        query=np.float32([[10, 50]]),
        database=np.float32([[20, 5]]),
        distances=np.zeros(1, np.float32),
    )
    (lines,) = base.matches(PHOTO, PHOTO, one).axes[0].collections[:1]
    (start, end) = lines.get_segments()[0]
    assert start.tolist() == [50, 10]
    assert end[1] == 20
    assert end[0] > 64
