"""Tests of the attention explorer without a browser: the test sets the controls."""

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
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.widgets import attention_explorer
from delfjax.widgets.attention_explorer import AttentionExplorer, explore


def models():
    return {
        "trained": worlds.extractor(attention=True),
        "other": Extractor(worlds.network(1), worlds.head(1), worlds.SMALL),
        "no attention": worlds.extractor(),
    }


@pytest.fixture
def explorer():
    photos = {"blocks": worlds.draw(0), "upright": worlds.draw(1, (64, 48))}
    return AttentionExplorer(photos, models())


def image(explorer, panel=0):
    """Return the decoded image of a panel."""
    return np.asarray(Image.open(io.BytesIO(explorer.panels[panel].canvas.image)))


def click(canvas, point):
    with canvas.hold_trait_notifications():
        canvas.clicked, canvas.clicks = point, canvas.clicks + 1


def test_first_view_is_the_first_photo_with_attention_at_all_scales(explorer):
    assert image(explorer).shape == (480, 640, 3)
    assert "attention, all scales, 100 keypoints" in explorer.panels[0].heading.value
    assert "blocks" in explorer.panels[0].canvas.alt
    assert explorer.panels[1].layout.display == "none"


@pytest.mark.parametrize(
    ("control", "value", "heading"),
    [
        ("scale", 0.5, "scale 0.50"),
        ("count", 20, "20 keypoints"),
        ("threshold", 0.9, "from the top 10% of cells"),
        ("score", "norm", "norm, all scales"),
        ("opacity", 0.2, "attention"),
        ("color_map", "cividis", "attention"),
    ],
)
def test_every_control_changes_the_image(explorer, control, value, heading):
    before = image(explorer)
    getattr(explorer, control).value = value
    assert not np.array_equal(before, image(explorer))
    assert heading in explorer.panels[0].heading.value


def test_network_runs_once_for_a_photo_and_a_model(explorer, monkeypatch):
    runs = []
    original = attention_explorer.score_photo
    monkeypatch.setattr(
        attention_explorer, "score_photo", lambda *args: runs.append(1) or original(*args)
    )
    explorer.scale.value, explorer.count.value, explorer.score.value = 1.0, 10, "norm"
    explorer.panels[0].canvas.pointer = (100.0, 100.0)
    assert not runs
    explorer.photo.value = "upright"
    explorer.photo.value = "blocks"
    explorer.photo.value = "upright"
    assert len(runs) == 1
    assert image(explorer).shape == (640, 480, 3)


def test_message_is_shown_while_the_network_runs(explorer, monkeypatch):
    messages = []
    original = attention_explorer.score_photo
    monkeypatch.setattr(
        attention_explorer,
        "score_photo",
        lambda *args: messages.append(explorer.status.value) or original(*args),
    )
    explorer.model.value = "other"
    assert "Running other on blocks" in messages[0]
    assert explorer.status.value == ""


def test_two_models_are_side_by_side_and_share_the_pointer(explorer):
    explorer.other_model.value = "other"
    assert explorer.panels[1].layout.display == "flex"
    before = image(explorer, 0), image(explorer, 1)
    assert not np.array_equal(*before)
    explorer.panels[1].canvas.pointer = (200.0, 300.0)
    for panel in (0, 1):
        assert not np.array_equal(before[panel], image(explorer, panel))
    rows = re.findall("<tr>.*?</tr>", explorer.cell_table.value)
    assert [name in row for name, row in zip(("trained", "other"), rows[1:], strict=True)]
    explorer.other_model.value = ""
    assert explorer.panels[1].layout.display == "none"


def test_model_without_attention_offers_only_the_norm(explorer):
    explorer.model.value = "no attention"
    assert explorer.score.options == ("norm",)
    explorer.other_model.value = "trained"
    explorer.score.value = "attention"
    assert "norm" in explorer.panels[0].heading.value
    assert "attention" in explorer.panels[1].heading.value


def test_pointer_shows_a_cell_until_it_leaves(explorer):
    before = image(explorer)
    explorer.scale.value = 1.0  # a cell of 16 pixels has 160 pixels on the screen
    explorer.panels[0].canvas.pointer = (200.0, 300.0)
    assert "(16, 32)" in explorer.cell_table.value  # in pixels of the photo
    assert "67 x 67" in explorer.cell_table.value
    assert re.search(r"\d+ of 12<", explorer.cell_table.value)
    explorer.panels[0].canvas.pointer = None
    assert "(16, 32)" not in explorer.cell_table.value
    explorer.scale.value = "all"
    assert np.array_equal(before, image(explorer))


def test_click_pins_a_cell_and_a_second_click_releases_it(explorer):
    canvas = explorer.panels[0].canvas
    click(canvas, (200.0, 300.0))
    explorer.scale.value = 1.0
    assert "(16, 32)" in explorer.cell_table.value
    explorer.scale.value = 2.0
    assert "34 x 34" in explorer.cell_table.value
    click(canvas, (200.0, 300.0))
    assert " x 34" not in explorer.cell_table.value


def test_uploaded_photo_is_shown_and_added_to_the_menu(explorer):
    upload(explorer.upload, "mine.png", png(worlds.draw(7, (48, 48))))
    assert explorer.photo.value == "mine.png"
    assert image(explorer).shape == (640, 640, 3)
    first = image(explorer)
    upload(explorer.upload, "mine.png", png(worlds.draw(8, (48, 48))))  # replaces the first one
    assert not np.array_equal(first, image(explorer))
    explorer.photo.value = "blocks"
    assert explorer.photo.options == ("blocks", "upright", "mine.png")


def test_unreadable_upload_shows_a_message_and_keeps_the_view(explorer):
    explorer.count.value = 30
    before = explorer.panels[0].canvas.image
    upload(explorer.upload, "notes<b>.txt", b"not a photo")
    assert "<b>notes&lt;b&gt;.txt is not an image; expected JPEG" in explorer.status.value
    assert explorer.panels[0].canvas.image == before
    assert (explorer.photo.value, explorer.count.value) == ("blocks", 30)
    upload(explorer.upload, "mine.png", png(worlds.draw(7)))
    assert explorer.status.value == ""


def test_figure_has_titles_and_color_bars_and_can_be_saved(explorer):
    explorer.other_model.value = "no attention"
    explorer.scale.value, explorer.count.value, explorer.threshold.value = 2.0, 5, 0.75
    figure = explorer.figure()
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.images]
    view = "scale 2.00, 5 keypoints from the top 25% of cells"
    assert titles == [f"blocks, trained\nattention, {view}", f"blocks, no attention\nnorm, {view}"]
    assert [ax.get_ylabel() for ax in figure.axes if not ax.images] == ["attention", "norm"]
    assert figure.to_bytes("png").startswith(b"\x89PNG")
    assert figure.to_bytes("pdf").startswith(b"%PDF")


def test_figure_can_be_downloaded_until_the_view_changes(explorer):
    explorer.export.click()
    found = re.findall(r'download="(.*?)" href="data:(.*?);base64,(\w+)', explorer.links.value)
    assert [(name, mime_type) for name, mime_type, _ in found] == [
        ("blocks attention.png", "image/png"),
        ("blocks attention.pdf", "application/pdf"),
    ]
    explorer.scale.value = 1.0
    assert explorer.links.value == ""


def test_only_scales_of_both_models_are_offered():
    config = worlds.replace(worlds.SMALL, pyramid=worlds.PyramidConfig(scales=(0.5, 1.0, 3.0)))
    pair = {"seven": worlds.extractor(), "three": worlds.extractor(config)}
    explorer = AttentionExplorer({"blocks": worlds.draw(0)}, pair)
    explorer.scale.value = 2.0
    explorer.other_model.value = "three"
    assert [label for label, _ in explorer.scale.options] == ["all", "0.50", "1.00"]
    assert explorer.scale.value == "all"


def test_pages_without_widgets_show_the_figure(explorer):
    """GitHub, nbviewer and nbconvert show the image of a widget output without widget state."""
    bundle = explorer._repr_mimebundle_()
    assert bundle["image/jpeg"].startswith(b"\xff\xd8")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    data = bundle | {"image/jpeg": "L0pQRUc="}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cell = nbformat.v4.new_code_cell("explore(photos, models)", outputs=[output])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "data:image/jpeg;base64,L0pQRUc=" in page


def test_explore_shows_a_message_until_the_widget_is_ready(monkeypatch):
    calls = SimpleNamespace(displayed=[], cleared=[])
    monkeypatch.setattr(attention_explorer, "display", calls.displayed.append)
    monkeypatch.setattr(attention_explorer, "clear_output", lambda: calls.cleared.append(True))
    assert isinstance(explore({"blocks": worlds.draw(0)}, models()), AttentionExplorer)
    assert "Running trained on blocks" in calls.displayed[0].value
    assert calls.cleared == [True]


def test_explore_accepts_a_single_photo_and_a_single_model():
    explorer = explore(worlds.draw(0), worlds.extractor())
    assert explorer.photo.options == ("photo",)
    assert explorer.model.options == (worlds.extractor().name,)


def test_explore_needs_photos_and_delf_models():
    with pytest.raises(ValueError, match="photos has 0 entries and models has 3; expected"):
        explore({}, models())
    sift = HandcraftedExtractor("sift")
    with pytest.raises(ValueError, match=r"'sift' computes no score maps\. Fix: pass a"):
        explore(worlds.draw(0), {"sift": sift})
