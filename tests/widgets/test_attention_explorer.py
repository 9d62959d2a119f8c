"""Tests of the attention explorer: what Python sends, and the page that it draws in a browser."""

import base64
import re
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import worlds
from browser import open_page
from flax import nnx
from matplotlib import colormaps
from nbconvert import HTMLExporter
from uploads import png

from benchmarks.networks import random_network
from delfjax.features.extraction import Extractor
from delfjax.features.handcrafted import HandcraftedExtractor
from delfjax.features.pyramid import merge_levels
from delfjax.images.reading import PhotoError
from delfjax.models.attention import Attention
from delfjax.models.resnet import RESNET_TINY
from delfjax.plots.base import HEATMAP_COLORS, HEATMAP_RANGE
from delfjax.widgets import attention_explorer
from delfjax.widgets.attention_explorer import AttentionExplorer, encode_scores, explore

PHOTOS = {"blocks": worlds.draw(0), "upright": worlds.draw(1, (64, 41))}
PALETTE_ERROR = 2  # of 255 colors; the browser receives scores of 16 bits


@cache
def attention_model():
    """Return a model whose attention is never rounded to 0, so that no two cells have equal scores."""
    head = random_network(lambda: Attention(RESNET_TINY.channels, hidden=8, rngs=nnx.Rngs(0)), 0)
    head.score.kernel.set_value(1e-3 * head.score.kernel[...])
    return Extractor(worlds.network(), head, worlds.SMALL)


def models():
    return {
        "trained": attention_model(),
        "other": Extractor(worlds.network(1), worlds.head(1), worlds.SMALL),
        "no attention": worlds.extractor(),
    }


@pytest.fixture
def explorer():
    return explore(PHOTOS, models())


def choose(explorer, **settings):
    explorer.settings = explorer.settings | settings


def send(explorer, name, data):
    """Upload a file as the browser does."""
    explorer._handle_custom_msg({"name": name}, [memoryview(data)])


# --- Python


@pytest.mark.parametrize("padding", ["symmetric", "tensorflow"])
def test_scores_are_sent_with_their_places(padding):
    model = Extractor(worlds.network(padding=padding), worlds.head(), worlds.SMALL)
    maps = model.score_maps(worlds.draw(0, (47, 64)))
    sent = encode_scores(maps, 67)
    assert sent["field"] == 67
    assert [level["scale"] for level in sent["levels"]] == [*maps.scales]
    assert [level["shape"] for level in sent["levels"]] == [each.shape for each in maps.norms]
    firsts = {"symmetric": {0}, "tensorflow": {2, 3}}[padding]
    assert {place for level in sent["levels"] for place in level["first"]} == firsts
    for kind, parts in (("norm", maps.norms), ("attention", maps.attention)):
        score = sent["scores"][kind]
        steps = np.frombuffer(base64.b64decode(score["data"]), "<u2") / 65535
        values = np.concatenate([part.ravel() for part in parts])
        span = score["high"] - score["low"]
        np.testing.assert_allclose(score["low"] + steps * span, values, atol=span / 65535)


def test_model_without_attention_sends_only_the_norm(explorer):
    choose(explorer, model="no attention")
    assert explorer.views["blocks"]["models"]["no attention"]["scores"].keys() == {"norm"}


def test_network_runs_once_for_a_photo_and_a_model(explorer, monkeypatch):
    runs = []
    original = Extractor.score_maps
    monkeypatch.setattr(Extractor, "score_maps", lambda *args: runs.append(args) or original(*args))
    choose(explorer, count=10, score="norm", scale="1.00")
    assert not runs
    for photo in ("upright", "blocks", "upright"):
        choose(explorer, photo=photo)
    assert len(runs) == 1
    assert explorer.views.keys() == {"upright"}
    choose(explorer, other="other")
    assert len(runs) == 2
    assert explorer.views["upright"]["models"].keys() == {"trained", "other"}


def test_uploaded_photo_is_chosen_and_replaces_one_of_the_same_name(explorer):
    send(explorer, "mine.png", png(worlds.draw(7)))
    assert explorer.settings["photo"] == "mine.png"
    assert explorer.photos == ["blocks", "upright", "mine.png"]
    first = explorer.views["mine.png"]
    send(explorer, "mine.png", png(worlds.draw(8)))
    assert explorer.photos == ["blocks", "upright", "mine.png"]
    assert explorer.views["mine.png"]["image"] != first["image"]
    assert explorer.views["mine.png"]["models"] != first["models"]


def test_unreadable_upload_shows_a_message_and_keeps_the_view(explorer):
    before = explorer.settings, explorer.views
    send(explorer, "notes.txt", b"not a photo")
    assert "notes.txt is not an image; expected JPEG" in explorer.status
    assert (explorer.settings, explorer.views) == before
    send(explorer, "mine.png", png(worlds.draw(7)))
    assert not explorer.status


def test_figure_shows_the_chosen_models_score_and_scale(explorer):
    choose(explorer, other="no attention", scale="2.00")
    shown = [ax for ax in explorer.figure().axes if ax.images]
    titles = [ax.get_title(loc="left") for ax in shown]
    expected = ["trained: attention, scale: 2.00", "no attention: norm, scale: 2.00"]
    assert titles == ["photo", *expected]
    maps = attention_model().score_maps(PHOTOS["blocks"])
    np.testing.assert_array_equal(
        shown[1].images[1].get_array(), maps.heatmap("attention", maps.scales.index(2.0))
    )


def test_pages_without_widgets_show_the_figure(explorer):
    """GitHub, nbviewer and nbconvert show the image of a widget output without widget state."""
    bundle, *_ = explorer._repr_mimebundle_()
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
    assert (explorer.photos, explorer.models) == (["photo"], [worlds.extractor().name])


def test_explore_opens_a_folder_with_the_default_model(tmp_path, monkeypatch):
    monkeypatch.setattr(attention_explorer, "load", worlds.extractor)
    root = worlds.classes(tmp_path / "PHOTOS", count=1, views=2).root
    (root / "a" / "broken.png").write_text("no photo")
    explorer = explore(str(root))
    assert explorer.photos == ["a/0.png", "a/1.png", "a/broken.png"]
    assert explorer.views["a/0.png"]["size"] == worlds.SIZE
    choose(explorer, photo="a/broken.png")
    assert "broken.png is not an image" in explorer.status
    choose(explorer, photo="a/1.png")
    assert explorer.views.keys() == {"a/1.png"}
    (root / "a" / "0.png").write_text("no photo")
    with pytest.raises(PhotoError, match=r"0\.png is not an image"):
        explore(root)


def test_explore_needs_photos_and_delf_models():
    with pytest.raises(ValueError, match="photos has 0 entries and models has 3; expected"):
        explore({}, models())
    sift = HandcraftedExtractor("sift")
    with pytest.raises(ValueError, match=r"'sift' computes no score maps\. Fix: pass a"):
        explore(worlds.draw(0), {"sift": sift})


# --- the page, which runs the same script as the widget


def test_page_in_a_browser(tmp_path):
    name = "</script><b>photo"
    photos = {"blocks": worlds.draw(0), name: worlds.draw(1, (64, 41))}
    path = tmp_path / "page.html"
    explore(photos, models()).save(path, title="<Title>", text="A & B")
    assert "://" not in path.read_text().replace("http://www.w3.org/2000/svg", "")
    with open_page(path, (1280, 800)) as page:
        errors = []
        page.on("pageerror", lambda error: errors.append(error))
        page.reload()
        page.get_by_text("100 keypoints").wait_for()
        assert page.title() == "<Title>"
        assert page.evaluate("document.documentElement.scrollHeight") <= 800
        assert not page.locator("input[type=file]").is_visible()
        check_drawing(page, photos["blocks"])
        check_inspection(page)
        check_choices(page, name)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not errors


def test_page_of_the_site_has_the_current_script():
    """To make the page again: ``python docs/attention_explorer.py``."""
    root = attention_explorer.SCRIPT.parents[2]
    page = (root / "docs" / "_static" / "attention_explorer.html").read_text(encoding="utf-8")
    assert attention_explorer.SCRIPT.read_text(encoding="utf-8") in page
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")


def check_drawing(page, photo):
    """Keypoints and heat are those that Python computes, with and without the shift."""
    config = replace(worlds.SMALL, selection="attention", max_features=20)
    model = attention_model().with_config(config)
    maps, features = model.score_maps(photo), model(photo)
    set_count(page, 20)
    page.get_by_text("20 keypoints").wait_for()
    rings = "[...document.querySelectorAll('figure circle.light')].map(c => [c.cy, c.cx].map(each => each.baseVal.value))"
    page.locator("input[name=shift]").uncheck()
    drawn = np.array(page.evaluate(rings))[::-1]
    np.testing.assert_allclose(drawn - 0.5, features.positions, atol=1e-3)
    page.locator("input[name=shift]").check()
    shifted = np.array(page.evaluate(rings))[::-1]
    np.testing.assert_allclose(shifted - drawn, (8 / features.scales)[:, None] * [1, 1], rtol=0.01)
    page.locator("input[name=shift]").uncheck()
    colors = page.evaluate(
        "(c => [c.height, c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]])"
        "(document.querySelector('canvas'))"
    )
    image = np.array(colors[2]).reshape(colors[0], colors[1], 4)[..., :3]
    heat = merge_levels(maps.attention, maps.sizes, image.shape[:2])
    low, high = np.percentile(heat, HEATMAP_RANGE)
    palette = 255 * colormaps[HEATMAP_COLORS](np.arange(256))[:, :3]
    expected = (255 * ((heat - low) / (high - low)).clip(0, 1))[::9, ::9]
    found = np.abs(palette[:, None, None] - image[::9, ::9]).sum(-1).argmin(0)
    assert expected.std() > 20
    assert np.abs(found - expected).max() <= PALETTE_ERROR


def check_inspection(page):
    """The pointer, the keyboard and a click show a cell, at scale 1."""
    page.locator("select[name=scale]").select_option("1.00")
    table, stage = page.locator("table"), page.locator(".stage >> nth=0")
    area = stage.bounding_box()
    place = {"x": 0.47 * area["width"], "y": 0.42 * area["height"]}
    stage.hover(position=place)
    assert "16, 32" in table.inner_text()  # in pixels of the photo
    assert "67 x 67" in table.inner_text()
    assert re.search(r"\d+ of 12\b", table.inner_text())
    page.mouse.move(5, 5)
    assert "16, 32" not in table.inner_text()
    stage.click(position=place)
    page.mouse.move(5, 5)
    assert "16, 32" in table.inner_text()
    stage.click(position=place)
    page.mouse.move(5, 5)
    assert "16, 32" not in table.inner_text()
    stage.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    assert "16, 48" in table.inner_text()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert "16, 48" in table.inner_text()


def check_choices(page, name):
    page.locator("input[name=heat]").uncheck()
    assert not page.locator("canvas >> nth=0").is_visible()
    page.locator("input[name=keypoints]").uncheck()
    assert page.locator("circle").count() == 0
    page.locator("select[name=score]").select_option("norm")
    assert "norm, scale: 1.00, 0 keypoints" in page.locator("figcaption >> nth=0").inner_text()
    page.locator("select[name=other]").select_option("other")
    assert page.locator("figure >> nth=1").is_visible()
    page.locator("select[name=model]").select_option("no attention")
    page.locator("select[name=other]").select_option("")
    assert page.locator("select[name=score]").locator("option").all_inner_texts() == ["norm"]
    page.locator("select[name=photo]").select_option(name)
    assert page.locator(".stage >> nth=0").get_attribute("aria-label").startswith(name)
    stage = page.locator(".stage >> nth=0").bounding_box()
    assert stage["width"] / stage["height"] == pytest.approx(41 / 64, rel=0.02)


def set_count(page, value):
    slider = page.locator("input[name=count]")
    slider.evaluate(
        "(e, value) => { e.value = value; e.dispatchEvent(new Event('input', {bubbles: true})); }",
        value,
    )
