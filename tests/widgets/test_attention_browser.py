"""Tests of the attention explorer and of the canvas's box in JupyterLab and a headless Chromium."""

import re

import numpy as np
from browser import Notebook, open_notebook, wait_until

CELLS = (
    """
import worlds
from delfjax.features.extraction import Extractor
from delfjax.widgets import explore

other = Extractor(worlds.network(1), worlds.head(1), worlds.SMALL)
models = {"trained": worlds.extractor(attention=True), "other": other}
""",
    'explorer = explore({"blocks": worlds.draw(0), "stripes": worlds.draw(1)}, models)',
    "explorer",
    """
import ipywidgets
from delfjax.widgets.canvas import ImageCanvas

image = explorer.panels[0].canvas.image
canvas = ImageCanvas(image=image, alt="canvas with a box", draws_boxes=True)
label = ipywidgets.HTML("no box")
show = lambda _: setattr(label, "value", f"box {canvas.box} click {canvas.clicked}")
canvas.observe(show, names=["box", "clicks"])
ipywidgets.VBox([canvas, label], layout={"width": "400px"})
""",
)
PANELS = [f"img[alt*='keypoint'] >> nth={number}" for number in (0, 1)]


def test_attention_explorer_works_in_jupyterlab(tmp_path):
    with open_notebook(tmp_path, *CELLS) as notebook:
        notebook.run()
        check_explorer(notebook)
        check_box(notebook)
        assert not notebook.errors


def check_explorer(notebook: Notebook) -> None:
    page = notebook.page
    image = page.locator(PANELS[0])
    image.wait_for()
    wait_until(lambda: image.evaluate("image => image.naturalWidth") == 640)
    notebook.screenshot("explorer")

    def wait_for_change(action, panel: int = 0) -> None:
        notebook.wait_for_change(action, PANELS[panel])

    # Sliders, with the keyboard, and menus.
    wait_for_change(lambda: notebook.slider("keypoints").press("ArrowLeft"))
    wait_until(lambda: "90 keypoints" in heading(notebook))
    wait_for_change(lambda: page.get_by_label("score").select_option("norm"))
    wait_for_change(lambda: notebook.slider("scale").press("ArrowRight"))
    wait_until(lambda: "norm, scale 0.25" in heading(notebook))

    # The pointer at the middle of the image, with the mouse and with the keyboard.
    table = page.locator("table", has_text="receptive field (pixels)")
    wait_for_change(lambda: image.hover())
    wait_until(lambda: "268 x 268" in table.inner_text())
    notebook.screenshot("explorer_hover")
    wait_for_change(lambda: page.mouse.move(5, 5))
    wait_until(lambda: "268 x 268" not in table.inner_text())
    image.focus()
    wait_for_change(lambda: page.keyboard.press("ArrowRight"))
    wait_until(lambda: "268 x 268" in table.inner_text())
    # Table and image change one after the other: a wait for the table alone would end too early.
    wait_for_change(lambda: page.keyboard.press("Tab"))
    wait_until(lambda: "268 x 268" not in table.inner_text())
    wait_for_change(lambda: image.click())  # pins the cell
    page.mouse.move(5, 5)
    wait_for_change(lambda: notebook.slider("scale").press("ArrowRight"))
    wait_until(lambda: "189 x 186" in table.inner_text())  # the level has 17 x 23 pixels

    # Two models side by side.
    page.get_by_label("compare with").select_option("other")
    page.locator(PANELS[1]).wait_for()
    wait_until(lambda: notebook.pixels(PANELS[0]) != notebook.pixels(PANELS[1]))
    notebook.screenshot("explorer_compare")
    photo = page.get_by_label("photo", exact=True)
    wait_for_change(lambda: photo.select_option("stripes"), panel=1)

    # A figure to download.
    page.get_by_role("button", name="make a figure").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="PNG").click()
    assert download.value.suggested_filename == "stripes norm.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")

    # The saved notebook has the figure, for pages without widgets.
    outputs = [o for cell in notebook.save().cells for o in cell.outputs if "data" in o]
    assert len(outputs) == 2  # the message while the model ran is gone
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(outputs[0].data)


def check_box(notebook: Notebook) -> None:
    """Drag from 1/4 of the width and height to 1/2 of the width and 3/4 of the height; then click."""
    page, canvas = notebook.page, notebook.page.get_by_alt_text("canvas with a box")
    canvas.scroll_into_view_if_needed()
    area = canvas.bounding_box()
    fractions = (0.25, 0.25), (0.5, 0.75)
    start, end = (
        (area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in fractions
    )
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
    label = page.locator(".widget-html", has_text=re.compile(r"^\s*box"))
    label.wait_for()
    expected = [120, 160, 360, 320]  # top, left, bottom, right of 480 x 640 pixels
    np.testing.assert_allclose(numbers(label.inner_text())[:4], expected, atol=1)
    notebook.screenshot("canvas_box")
    page.mouse.down()
    page.mouse.up()
    wait_until(lambda: "box None" in label.inner_text())
    np.testing.assert_allclose(numbers(label.inner_text()), [359.5, 319.5], atol=1)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def heading(notebook: Notebook) -> str:
    return notebook.page.locator(".widget-html", has_text="keypoint").first.inner_text()
