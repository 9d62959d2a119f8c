"""The gallery of the paper's figures: each is there once, small, and named where it is not made yet."""

import base64
import io

import pytest
from PIL import Image

from delfjax.paper_figures import PLACES, SIZE, Gallery, small_jpeg


def test_every_figure_of_the_paper_has_its_place():
    assert [each.number for each in PLACES] == list(range(1, 10))
    files = [each.file for each in PLACES if each.file]
    assert len(set(files)) == len(files)


def test_what_is_not_made_yet_is_named_with_its_notebook(tmp_path):
    gallery = Gallery(folder=tmp_path)
    assert [each.number for each in gallery.missing()] == [2, 3, 6, 7, 8, 9]
    page = gallery._repr_html_()
    assert "<img" not in page
    assert "04_retrieval.ipynb (not made yet: run it)" in page
    assert (
        "Fig. 9  keypoints by norm and by attention: 03_attention.ipynb (not made" in gallery.text()
    )


def test_a_picture_is_shown_small(tmp_path):
    Image.new("RGB", (1200, 400), "red").save(tmp_path / "attention_fig9.jpg")
    gallery = Gallery(folder=tmp_path)
    assert 9 not in [each.number for each in gallery.missing()]
    page = gallery._repr_html_()
    assert page.count("<img") == 1
    assert "<a href='03_attention.ipynb'>" in page
    assert len(page) < 10_000


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_small_picture_is_a_jpeg(tmp_path, mode):
    """What is transparent turns white, not black."""
    picture = Image.new(mode, (60, 900), 0 if mode != "RGBA" else (0, 0, 0, 0))
    picture.save(tmp_path / "one.png")
    found = Image.open(io.BytesIO(base64.b64decode(small_jpeg(tmp_path / "one.png"))))
    assert (found.format, found.mode) == ("JPEG", "RGB")
    assert found.width <= SIZE[0]
    assert found.height <= SIZE[1]
    assert found.getpixel((0, 0)) == ((255,) * 3 if mode == "RGBA" else (0,) * 3)
