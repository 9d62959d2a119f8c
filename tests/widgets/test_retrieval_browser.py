"""Tests of the retrieval explorer in JupyterLab and a headless Chromium."""

import re

from browser import Notebook, open_notebook, wait_until

CELLS = (
    """
import numpy as np
import worlds
from places import place, view
from delfjax.datasets.benchmark import Truth
from delfjax.features.database import Database
from delfjax.geometry.ransac import RansacConfig
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.widgets import search_photos

photos = [view(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(8)]
config = SearchConfig(neighbors=12, ransac=RansacConfig(hypotheses=256))
database = Database.from_features([f"photo_{n}" for n in range(8)], photos)
searcher = Searcher(database, config=config)
queries = {"square": place(1), "tower": place(2)}
truths = {"square": Truth(np.array([2]), np.array([3]))}
load = lambda name: worlds.draw(sum(name.encode()), (240, 320), block=24)
""",
    "explorer = search_photos(searcher, load, queries, truths=truths)",
    "explorer",
)
VERIFY = "verify the top 100"


def test_retrieval_explorer_works_in_jupyterlab(tmp_path):
    with open_notebook(tmp_path, *CELLS, size=(1280, 800)) as notebook:
        notebook.run()
        check_explorer(notebook)
        assert not notebook.errors


def check_explorer(notebook: Notebook) -> None:
    page = notebook.page
    results = page.get_by_role("group", name="results").get_by_role("button")
    results.first.wait_for()
    output = page.locator(".jp-OutputArea-output").last
    output.evaluate("element => element.scrollIntoView()")
    caption = page.locator(".widget-html", has_text="putative matches")
    heading = page.locator(".widget-html", has_text="60 features")
    summary = page.locator(".widget-html", has_text="photos have votes")
    wait_until(lambda: output.bounding_box()["height"] > 300)
    notebook.screenshot("retrieval")
    assert output.bounding_box()["height"] <= 680, "the explorer fits into the window"

    def wait_for_change(action, *images: str) -> None:
        notebook.wait_for_change(action, *(f"img[alt^='{alt}']" for alt in images))

    # Select a result to see its matches, with the mouse and with the keyboard.
    first = caption.inner_text()
    assert "result 1, photo_2" in first
    wait_for_change(results.nth(1).click, "square and")
    wait_until(lambda: "result 2, photo_3" in caption.inner_text())
    wait_until(lambda: results.nth(1).get_attribute("aria-pressed") == "true")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    wait_until(lambda: caption.inner_text() == first)

    # Sliders and verification.
    wait_for_change(lambda: notebook.slider("matches of #").press("ArrowRight"), "square and")
    notebook.slider("neighbors").press("Home")
    wait_until(lambda: slider_value(notebook, "neighbors") == "1")
    notebook.slider("neighbors").press("End")
    assert "verified" in summary.inner_text()
    page.get_by_label(VERIFY).uncheck()
    wait_until(lambda: "ranked by votes" in summary.inner_text())
    wait_until(lambda: "not verified" in caption.inner_text())
    page.get_by_label(VERIFY).check()
    wait_until(lambda: "8 verified" in summary.inner_text())

    # Drag a box on the query; a click removes it.
    query = page.locator("img[alt^='query square']")
    area = query.bounding_box()
    wait_for_change(lambda: drag(notebook, area), "query")
    wait_until(lambda: re.search(r"\d+ of 60 features", heading.inner_text()))
    assert has_box(notebook)
    notebook.screenshot("retrieval_box")
    wait_for_change(query.click, "query")
    wait_until(lambda: " of 60 features" not in heading.inner_text())
    assert not has_box(notebook)

    # Another query also removes the box.
    wait_for_change(lambda: drag(notebook, area), "query")
    page.get_by_role("button", name="tower").click()
    wait_until(lambda: "tower" in heading.inner_text())
    wait_until(lambda: not has_box(notebook))
    notebook.screenshot("retrieval_tower")

    # The saved notebook has the figure, for pages without widgets.
    outputs = [o for cell in notebook.save().cells for o in cell.outputs if "data" in o]
    assert len(outputs) == 1
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(outputs[0].data)


def drag(notebook: Notebook, area: dict[str, float]) -> None:
    """Drag a box over the middle of an area of the page."""
    start, end = (
        (area["x"] + fraction * area["width"], area["y"] + fraction * area["height"])
        for fraction in (0.2, 0.7)
    )
    notebook.page.mouse.move(*start)
    notebook.page.mouse.down()
    notebook.page.mouse.move(*end, steps=4)
    notebook.page.mouse.up()


def has_box(notebook: Notebook) -> bool:
    return notebook.page.locator("img[alt^='query '] + div").is_visible()


def slider_value(notebook: Notebook, name: str) -> str:
    slider = notebook.page.locator(".widget-slider", has_text=name)
    return slider.locator(".widget-readout").inner_text()
