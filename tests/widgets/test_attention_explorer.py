"""The attention explorer, driven as a visitor drives it, but for the browser."""

import io
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import worlds
from nbconvert import HTMLExporter
from PIL import Image
from uploads import png, upload

from delfjax.features.extraction import Extractor
from delfjax.widgets import attention_explorer
from delfjax.widgets.attention_explorer import Explorer, explore
from delfjax.widgets.canvas import Picture


def models():
    return {
        "learned": worlds.extractor(attention=True),
        "another": Extractor(worlds.network(1), worlds.head(1), worlds.SMALL),
        "headless": worlds.extractor(),
    }


@pytest.fixture
def made():
    return Explorer({"blocks": worlds.draw(0), "upright": worlds.draw(1, (64, 48))}, models())


def shown(made, panel=0):
    """The picture of a panel, decoded."""
    return np.asarray(Image.open(io.BytesIO(made.panels[panel].picture.image)))


def test_at_first_the_first_photo_is_shown_by_attention_at_all_scales(made):
    assert shown(made).shape == (480, 640, 3)
    assert "attention, all scales, 100 keypoints" in made.panels[0].heading.value
    assert "blocks" in made.panels[0].picture.alt
    assert made.panels[1].layout.display == "none"


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        ("scale", 0.5, "scale 0.50"),
        ("count", 20, "20 keypoints"),
        ("threshold", 0.9, "of the top 10% of cells"),
        ("score", "norm", "norm, all scales"),
        ("opacity", 0.2, "attention"),
        ("colors", "cividis", "attention"),
    ],
)
def test_every_control_changes_the_picture(made, control, value, words):
    before = shown(made)
    getattr(made, control).value = value
    assert not np.array_equal(before, shown(made))
    assert words in made.panels[0].heading.value


def test_the_network_runs_once_for_a_photo_and_a_model(made, monkeypatch):
    ran = []
    real = attention_explorer.look
    monkeypatch.setattr(
        attention_explorer, "look", lambda photo, model: ran.append(1) or real(photo, model)
    )
    made.scale.value, made.count.value, made.score.value = 1.0, 10, "norm"
    made.panels[0].picture.pointer = (100.0, 100.0)
    assert not ran
    made.photo.value = "upright"
    made.photo.value = "blocks"
    made.photo.value = "upright"
    assert len(ran) == 1
    assert shown(made).shape == (640, 480, 3)


def test_while_the_network_runs_words_say_so(made, monkeypatch):
    said = []
    real = attention_explorer.look
    monkeypatch.setattr(
        attention_explorer, "look", lambda *all: said.append(made.status.value) or real(*all)
    )
    made.model.value = "another"
    assert "blocks goes through another" in said[0]
    assert made.status.value == ""


def test_two_models_stand_side_by_side_and_share_the_pointer(made):
    made.other.value = "another"
    assert made.panels[1].layout.display == "flex"
    bare = shown(made, 0), shown(made, 1)
    assert not np.array_equal(*bare)
    made.panels[1].picture.pointer = (200.0, 300.0)
    for panel in (0, 1):
        assert not np.array_equal(bare[panel], shown(made, panel))
    rows = re.findall("<tr>.*?</tr>", made.readout.value)
    assert [name in row for name, row in zip(("learned", "another"), rows[1:], strict=True)]
    made.other.value = ""
    assert made.panels[1].layout.display == "none"


def test_a_model_without_attention_offers_the_norm_only(made):
    made.model.value = "headless"
    assert made.score.options == ("norm",)
    made.other.value = "learned"
    made.score.value = "attention"
    assert "norm" in made.panels[0].heading.value
    assert "attention" in made.panels[1].heading.value


def test_the_cell_under_the_pointer_is_told_and_forgotten(made):
    bare = shown(made)
    made.scale.value = 1.0  # one cell of 16 pixels is 160 of the picture's
    made.panels[0].picture.pointer = (200.0, 300.0)
    assert "(16, 32)" in made.readout.value  # of the photo
    assert "67 x 67" in made.readout.value
    assert re.search(r"\d+ of 12<", made.readout.value)
    made.panels[0].picture.pointer = None
    assert "(16, 32)" not in made.readout.value
    made.scale.value = "all"
    assert np.array_equal(bare, shown(made))


def test_a_click_keeps_a_cell_through_changes_of_scale_and_another_lets_it_go(made):
    picture = made.panels[0].picture
    click(picture, (200.0, 300.0))
    made.scale.value = 1.0
    assert "(16, 32)" in made.readout.value
    made.scale.value = 2.0
    assert "34 x 34" in made.readout.value
    click(picture, (200.0, 300.0))
    assert " x 34" not in made.readout.value


def click(picture, point):
    with picture.hold_trait_notifications():
        picture.clicked, picture.clicks = point, picture.clicks + 1


def test_an_uploaded_photo_is_shown_and_stays_on_the_menu(made):
    upload(made.upload, "mine.png", png(worlds.draw(7, (48, 48))))
    assert made.photo.value == "mine.png"
    assert shown(made).shape == (640, 640, 3)
    first = shown(made)
    upload(made.upload, "mine.png", png(worlds.draw(8, (48, 48))))  # another one of that name
    assert not np.array_equal(first, shown(made))
    made.photo.value = "blocks"
    assert made.photo.options == ("blocks", "upright", "mine.png")


def test_a_file_that_is_no_photo_is_explained_and_nothing_is_lost(made):
    made.count.value = 30
    before = made.panels[0].picture.image
    upload(made.upload, "notes<b>.txt", b"not a photo")
    assert "<b>notes&lt;b&gt;.txt is not an image; expected JPEG" in made.status.value
    assert made.panels[0].picture.image == before
    assert (made.photo.value, made.count.value) == ("blocks", 30)
    upload(made.upload, "mine.png", png(worlds.draw(7)))
    assert made.status.value == ""


def test_a_figure_is_offered_until_something_else_is_shown(made):
    made.export.click()
    found = re.findall(r'download="(.*?)" href="data:(.*?);base64,(\w+)', made.links.value)
    assert [(name, kind) for name, kind, _ in found] == [
        ("blocks attention.png", "image/png"),
        ("blocks attention.pdf", "application/pdf"),
    ]
    made.scale.value = 1.0
    assert made.links.value == ""


def test_scales_that_models_do_not_share_are_not_offered():
    coarse = worlds.replace(worlds.SMALL, pyramid=worlds.PyramidConfig(scales=(0.5, 1.0, 3.0)))
    pair = {"seven": worlds.extractor(), "three": worlds.extractor(coarse)}
    made = Explorer({"blocks": worlds.draw(0)}, pair)
    made.scale.value = 2.0
    made.other.value = "three"
    assert [label for label, _ in made.scale.options] == ["all", "0.50", "1.00"]
    assert made.scale.value == "all"


def test_nothing_to_explore_is_an_error():
    with pytest.raises(ValueError, match="0 photos, 3 models; expected one at least"):
        explore({}, models())


def test_pages_without_widgets_show_the_figure(made):
    """nbconvert, as GitHub's and nbviewer's pages, takes the picture where it has no widget state."""
    bundle = made._repr_mimebundle_()
    assert bundle["image/jpeg"].startswith(b"\xff\xd8")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    data = bundle | {"image/jpeg": "L0pQRUc="}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cell = nbformat.v4.new_code_cell("explore(photos, extractors)", outputs=[output])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "data:image/jpeg;base64,L0pQRUc=" in page


def test_explore_says_what_it_waits_for_and_clears_it(monkeypatch):
    said = SimpleNamespace(shown=[], cleared=[])
    monkeypatch.setattr(attention_explorer, "display", said.shown.append)
    monkeypatch.setattr(attention_explorer, "clear_output", lambda: said.cleared.append(True))
    assert isinstance(explore({"blocks": worlds.draw(0)}, models()), Explorer)
    assert "blocks goes through learned" in said.shown[0].value
    assert said.cleared == [True]


# --- the picture


def test_a_picture_takes_lists_as_a_browser_sends_them():
    picture = Picture()
    assert (picture.pointer, picture.clicked, picture.box) == (None, None, None)
    picture.set_state({"pointer": [1, 2.5], "clicked": [3.0, 4.0], "box": [0, 1, 2, 3]})
    assert (picture.pointer, picture.clicked) == ((1, 2.5), (3.0, 4.0))
    assert picture.box == (0, 1, 2, 3)
    picture.set_state({"pointer": None})
    assert picture.pointer is None


def test_the_module_is_beside_the_widget():
    assert "export default { render }" in str(Picture._esm)
