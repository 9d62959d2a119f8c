"""The retrieval explorer in JupyterLab, in a headless Chromium."""

import re

from browser import Notebook, opened, until

CELLS = (
    """
import worlds
from places import place, view
from delfjax.features.database import Database
from delfjax.geometry.ransac import RansacConfig
from delfjax.evaluation.metrics import Truth
from delfjax.widgets.retrieval_explorer import search_photos
from delfjax.search.searcher import SearchConfig, Searcher
import numpy as np

photos = [view(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(8)]
config = SearchConfig(neighbors=12, ransac=RansacConfig(hypotheses=256))
searcher = Searcher(Database.from_features([f"photo_{n}" for n in range(8)], photos), config=config)
queries = {"square": place(1), "tower": place(2)}
truths = {"square": Truth(np.array([2]), np.array([3]))}
""",
    """
explorer = search_photos(
    searcher, lambda name: worlds.draw(sum(name.encode()), (240, 320), block=24), queries, truths=truths
)
""",
    "explorer",
)
READOUT = ".widget-readout"


def test_the_retrieval_explorer_lives_in_jupyterlab(tmp_path):
    with opened(tmp_path, *CELLS, size=(1280, 1250)) as notebook:
        visit(notebook)
        assert not notebook.complaints


def visit(notebook: Notebook) -> None:
    page = notebook.page
    notebook.run()
    results = page.locator("img[alt^='results']")
    results.wait_for()
    until(lambda: results.evaluate("image => image.naturalWidth") == 1280)
    caption = page.locator(".widget-html", has_text="putative matches")
    heading = page.locator(".widget-html", has_text="Drag a box")
    summary = page.locator(".widget-html", has_text="photos have votes")
    notebook.screenshot("retrieval")

    def changes(act, *pictures: str) -> None:
        notebook.changes(act, *(f"img[alt^='{alt}']" for alt in pictures))

    # A result: its matches, by a click and by the keyboard.
    first = caption.inner_text()
    assert "result 1, photo_2" in first
    box = results.bounding_box()
    second = box["x"] + 0.35 * box["width"], box["y"] + 0.2 * box["height"]
    changes(lambda: page.mouse.click(*second), "results", "square and")
    until(lambda: "result 2, photo_0" in caption.inner_text())
    page.mouse.move(5, 5)
    results.focus()
    page.keyboard.press("Tab")
    changes(lambda: page.keyboard.press("Shift+Tab"), "results")  # the first card is pointed at
    changes(lambda: page.keyboard.press("Enter"), "results", "square and")
    until(lambda: caption.inner_text() == first)
    changes(lambda: page.keyboard.press("ArrowRight"), "results")
    page.keyboard.press("Tab")

    # Sliders and verification.
    changes(lambda: notebook.slider("matches of").press("ArrowRight"), "results", "square and")
    notebook.slider("neighbors").press("Home")
    until(lambda: readout(notebook, "neighbors") == "1")
    notebook.slider("neighbors").press("End")
    assert "verified" in summary.inner_text()
    changes(lambda: page.get_by_label("verify the first 100").click(), "results")
    until(lambda: "ranked by votes alone" in summary.inner_text())
    until(lambda: "not verified" in caption.inner_text())
    page.get_by_label("verify the first 100").click()
    until(lambda: "verified" in summary.inner_text())

    # A box on the query; a click lets it go.
    query = page.locator("img[alt^='query square']")
    at = query.bounding_box()
    changes(lambda: drag(notebook, at), "query", "results")
    until(lambda: re.search(r"\d+ of 60 features", heading.inner_text()))
    assert drawn_box(notebook)
    notebook.screenshot("retrieval_box")
    changes(lambda: query.click(), "query", "results")
    until(lambda: " of 60 features" not in heading.inner_text())
    assert not drawn_box(notebook)

    # Another query takes the box away, too.
    changes(lambda: drag(notebook, at), "query")
    strip = page.locator("img[alt^='queries']")
    place = strip.bounding_box()
    tower = {"x": 0.25 * place["width"], "y": 0.5 * place["height"]}
    changes(lambda: strip.click(position=tower), "queries", "results")
    until(lambda: "tower" in heading.inner_text())
    until(lambda: not drawn_box(notebook))
    assert page.get_by_label("query").input_value() == "tower"
    notebook.screenshot("retrieval_tower")

    # The file has the figure, for pages on which no widget lives.
    outputs = [o for cell in notebook.save().cells for o in cell.outputs if "data" in o]
    assert len(outputs) == 1
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(outputs[0].data)


def drag(notebook: Notebook, at: dict[str, float]) -> None:
    """Drag a box over the middle of a picture."""
    corners = [(at["x"] + s * at["width"], at["y"] + s * at["height"]) for s in (0.2, 0.7)]
    notebook.page.mouse.move(*corners[0])
    notebook.page.mouse.down()
    notebook.page.mouse.move(*corners[1], steps=4)
    notebook.page.mouse.up()


def drawn_box(notebook: Notebook) -> bool:
    return notebook.page.locator("img[alt^='query '] + div").is_visible()


def readout(notebook: Notebook, name: str) -> str:
    return notebook.page.locator(".widget-slider", has_text=name).locator(READOUT).inner_text()
