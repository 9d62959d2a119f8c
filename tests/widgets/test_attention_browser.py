"""The attention explorer in JupyterLab, in a headless Chromium."""

import re

import numpy as np
from browser import Notebook, opened, until

CELLS = (
    """
import worlds
from delfjax.widgets.attention_explorer import explore
from delfjax.features.extraction import Extractor

another = Extractor(worlds.network(1), worlds.head(1), worlds.SMALL)
models = {"learned": worlds.extractor(attention=True), "another": another}
""",
    'explorer = explore({"blocks": worlds.draw(0), "stripes": worlds.draw(1)}, models)',
    "explorer",
    """
import ipywidgets
from delfjax.widgets.canvas import Picture

paper = Picture(image=explorer.panels[0].picture.image, alt="drawing paper", boxes=True)
said = ipywidgets.HTML("nothing yet")
tell = lambda _: setattr(said, "value", f"box {paper.box} click {paper.clicked}")
paper.observe(tell, names=["box", "clicks"])
ipywidgets.VBox([paper, said], layout={"width": "400px"})
""",
)
PANELS = [f"img[alt*='keypoint'] >> nth={number}" for number in (0, 1)]


def test_the_explorer_lives_in_jupyterlab(tmp_path):
    with opened(tmp_path, *CELLS) as notebook:
        visit(notebook)
        draw_a_box(notebook)
        assert not notebook.complaints


def visit(notebook: Notebook) -> None:
    page = notebook.page
    notebook.run()
    picture = page.locator(PANELS[0])
    picture.wait_for()
    until(lambda: picture.evaluate("image => image.naturalWidth") == 640)
    notebook.screenshot("explorer")

    def changes(act, panel: int = 0) -> None:
        notebook.changes(act, PANELS[panel])

    # Sliders, by the keyboard; menus.
    changes(lambda: notebook.slider("keypoints").press("ArrowLeft"))
    assert "90 keypoints" in heading(notebook)
    changes(lambda: page.get_by_label("score").select_option("norm"))
    changes(lambda: notebook.slider("scale").press("ArrowRight"))
    until(lambda: "norm, scale 0.25" in heading(notebook))

    # The pointer, in the image's own pixels: at the middle, wherever it is drawn.
    readout = page.locator("table", has_text="sees (pixels)")
    changes(lambda: picture.hover())
    until(lambda: "268 x 268" in readout.inner_text())
    notebook.screenshot("explorer_hover")
    changes(lambda: page.mouse.move(5, 5))
    until(lambda: "268 x 268" not in readout.inner_text())
    picture.focus()
    changes(lambda: page.keyboard.press("ArrowRight"))
    until(lambda: "268 x 268" in readout.inner_text())
    page.keyboard.press("Tab")
    until(lambda: "268 x 268" not in readout.inner_text())
    changes(lambda: picture.click())  # keeps the cell
    page.mouse.move(5, 5)
    changes(lambda: notebook.slider("scale").press("ArrowRight"))
    until(lambda: "189 x 186" in readout.inner_text())  # 17 x 23 pixels at that scale

    # Two models side by side.
    page.get_by_label("compare with").select_option("another")
    page.locator(PANELS[1]).wait_for()
    until(lambda: notebook.pixels(PANELS[0]) != notebook.pixels(PANELS[1]))
    notebook.screenshot("explorer_compare")
    changes(lambda: page.get_by_label("photo", exact=True).select_option("stripes"), panel=1)

    # A figure to keep.
    page.get_by_role("button", name="make a figure").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="PNG").click()
    assert download.value.suggested_filename == "stripes norm.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")

    # The file has the figure, for pages on which no widget lives.
    outputs = [o for cell in notebook.save().cells for o in cell.outputs if "data" in o]
    assert len(outputs) == 2  # the words that said to wait are gone
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(outputs[0].data)


def draw_a_box(notebook: Notebook) -> None:
    """Drag from a quarter of the way across and down, to a half across and three quarters down."""
    page, paper = notebook.page, notebook.page.get_by_alt_text("drawing paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    shares = (0.25, 0.25), (0.5, 0.75)
    start, end = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
    said = page.locator(".widget-html", has_text=re.compile(r"^\s*box"))
    said.wait_for()
    expected = [120, 160, 360, 320]  # top, left, bottom, right of 480 x 640
    np.testing.assert_allclose(numbers(said.inner_text())[:4], expected, atol=1)
    notebook.screenshot("picture_box")
    page.mouse.down()
    page.mouse.up()
    until(lambda: "box None" in said.inner_text())
    np.testing.assert_allclose(numbers(said.inner_text()), [359.5, 319.5], atol=1)


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"\d+(?:\.\d+)?", text)]


def heading(notebook: Notebook) -> str:
    return notebook.page.locator(".widget-html", has_text="keypoint").first.inner_text()
