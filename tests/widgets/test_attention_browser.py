"""Tests of the attention explorer in JupyterLab and a headless Chromium."""

from browser import Notebook, open_notebook, wait_until
from uploads import png
from worlds import draw

CELLS = (
    """
import worlds
from delfjax.features.extraction import Extractor
from delfjax.widgets import explore

other = Extractor(worlds.network(1), worlds.head(1), worlds.SMALL)
models = {"trained": worlds.extractor(attention=True), "other": other}
photos = {"blocks": worlds.draw(0), "stripes": worlds.draw(1, (41, 64))}
""",
    "explorer = explore(photos, models)",
    "explorer",
)


def test_attention_explorer_works_in_jupyterlab(tmp_path):
    with open_notebook(tmp_path, *CELLS, size=(1280, 800)) as notebook:
        notebook.run()
        check_explorer(notebook)
        assert not notebook.errors


def check_explorer(notebook: Notebook) -> None:
    page = notebook.page
    explorer = page.locator(".dx")
    explorer.wait_for()
    page.locator("figcaption", has_text="100 keypoints").wait_for()
    explorer.evaluate("element => element.scrollIntoView()")
    assert explorer.bounding_box()["height"] <= 680, "the explorer fits into the window"
    notebook.screenshot("explorer")

    # The keys act on the explorer, and not on the cells of the notebook.
    table, stage = page.locator(".dx table"), page.locator(".stage").first
    stage.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    wait_until(lambda: " of 108" in table.inner_text())
    notebook.screenshot("explorer_cell")

    # Other photos and models need the kernel.
    page.locator("select[name=photo]").select_option("stripes")
    wait_until(lambda: "stripes" in stage.get_attribute("aria-label"))
    page.locator("select[name=other]").select_option("other")
    page.locator("figcaption", has_text="other").wait_for()
    notebook.screenshot("explorer_compare")
    upload = page.get_by_label("your photo")
    upload.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"})
    page.locator(".dx [role=status]", has_text="notes.txt is not an image").wait_for()
    photo = {"name": "mine.png", "mimeType": "image/png", "buffer": png(draw(7))}
    upload.set_input_files(photo)
    wait_until(lambda: "mine.png" in stage.get_attribute("aria-label"))
    assert page.locator("select[name=photo]").input_value() == "mine.png"

    # The saved notebook has the figure, for pages without widgets.
    outputs = [o for cell in notebook.save().cells for o in cell.outputs if "data" in o]
    assert len(outputs) == 1  # the message while the model ran is gone
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(outputs[0].data)
