"""The retrieval explorer: a widget that searches photos with a photo or a part of it (Sec. 4.4).

The nearest-neighbor search runs once for a query and a box. Every later change is drawn in about a
tenth of a second.
"""

import html
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import clear_output, display
from ipywidgets import HTML, Dropdown, HBox, Layout, VBox, Widget

from delfjax.datasets.truth import Truth
from delfjax.features.database import Database
from delfjax.features.extract_folder import LocalExtractor
from delfjax.images.reading import read_image
from delfjax.plots.base import Figure, encode_jpeg, fit_size
from delfjax.plots.pairs import PAIR_WIDTH, QUERY_SIZE
from delfjax.plots.retrieval import CARD_WIDTH, Card, thumbnail
from delfjax.search.searcher import Searcher
from delfjax.types import Box, Features, Photo
from delfjax.widgets import captions
from delfjax.widgets.canvas import ImageCanvas, ThumbnailGrid
from delfjax.widgets.controls import RetrievalControls, labeled, message_if_slow
from delfjax.widgets.retrieval_state import (
    CachedSearch,
    Query,
    SearchView,
    cache_neighbors,
    short_name,
)
from delfjax.widgets.upload import read_upload, upload_button

DEFAULT_QUERIES = 12  # database photos that are offered as queries by default
RESULT_COLUMNS = 4
MIN_QUERY_COLUMNS, MAX_QUERY_COLUMNS = 6, 12
QUERY_GRID_WIDTH = 1800  # pixels
PAGE_WIDTH = 1050  # approximate width of a notebook's output on screen, in pixels


def search_photos(
    searcher: Searcher,
    photos: str | Path | Callable[[str], Photo],
    queries: Sequence[str] | Mapping[str, Features] | None = None,
    *,
    truths: Mapping[str, Truth] | None = None,
    model: LocalExtractor | None = None,
) -> "RetrievalExplorer":
    """Search a photo collection in a widget: choose a query, drag a box on it, change the settings.

    Args:
        searcher: Searcher of the collection. Its configuration sets the controls at the start.
        photos: Folder of the photos, or a function that reads a photo by its name, at any size. It
            must hold the queries, too.
        queries: Names of photos in the database, or features of photos by name. None: the first 12
            photos of the database.
        truths: Correct results of each query, by its name, where they are known.
        model: Extractor for uploaded photos, the one of the database. None: no upload button.

    Returns:
        The widget. On pages that cannot run widgets, such as GitHub's, it shows a figure.

    Raises:
        ValueError: If there is no query, or the database has no photo of a query's name.

    Example:
        >>> features = dx.extract_folder(model, "photos", "features")
        >>> dx.search_photos(dx.Searcher(features), "photos")
    """
    if queries is None:
        queries = searcher.database.names[:DEFAULT_QUERIES]
    if not isinstance(queries, Mapping):
        queries = _database_features(searcher.database, queries)
    if not queries:
        raise ValueError("0 queries; expected at least one")
    load = photos if callable(photos) else lambda name: read_image(Path(photos) / name)
    display(HTML(captions.notice("Compiling the search. This takes a few seconds …")))
    cache_neighbors(searcher, next(iter(queries.values()))).search(searcher.config)
    clear_output()  # the widget replaces the message
    return RetrievalExplorer(searcher, load, queries, truths or {}, model)


def _database_features(database: Database, names: Sequence[str]) -> dict[str, Features]:
    """Return the features of database photos by name."""
    numbers = {name: number for number, name in enumerate(database.names)}
    if missing := [name for name in names if name not in numbers]:
        raise ValueError(
            f"the database has no photo {missing[0]!r}; expected names such as "
            f"{database.names[0]!r}, or features by name"
        )
    return {name: database.features(numbers[name]) for name in names}


class RetrievalExplorer(VBox):
    """The widget that `search_photos` returns. Its controls are attributes, so a program can use them.

    Attributes:
        query_grid: Thumbnails of the queries.
        query: Menu of the queries.
        upload: Button that adds a query.
        query_canvas: The query, on which a box can be dragged.
        controls: Sliders for the search settings and the shown results.
        result_grid: Thumbnails of the results.
        pair_canvas: The query and one result, with their matches.
        heading: Text above the query.
        summary: Text above the results.
        caption: Text above the pair.
        status: Messages.
    """

    def __init__(
        self,
        searcher: Searcher,
        load: Callable[[str], Photo],
        queries: Mapping[str, Features],
        truths: Mapping[str, Truth],
        model: LocalExtractor | None,
    ) -> None:
        self._searcher, self._load, self._model = searcher, load, model
        self._queries = {
            name: Query(
                name=name,
                photo=load(name),
                features=searcher.reduce(features),
                truth=truths.get(name),
            )
            for name, features in queries.items()
        }
        self._load_thumbnail = cache(lambda name: thumbnail(load(name), CARD_WIDTH))
        self._search: CachedSearch
        self._view: SearchView
        self._paused = False  # whether changes of controls are ignored
        self.query = labeled(Dropdown, "query", options=list(queries))
        self.upload = upload_button("upload a photo")
        self.upload.layout = Layout(width="max-content", margin="0 0 0 7.5em")
        if model is None:
            self.upload.layout.display = "none"
        self.controls = RetrievalControls(searcher.config, len(searcher.database))
        self.query_grid, self.result_grid = ThumbnailGrid(), ThumbnailGrid()
        self.query_canvas, self.pair_canvas = ImageCanvas(draws_boxes=True), ImageCanvas()
        self.heading, self.summary, self.caption, self.status = (HTML() for _ in range(4))
        super().__init__(self._arrange(has_truths=bool(truths)))
        self._connect()
        self._show_queries()
        self._reload()

    def _arrange(self, *, has_truths: bool) -> list[Widget]:
        left = VBox([self.heading, self.query_canvas, self.query, self.controls, self.upload])
        left.layout = Layout(flex="2 1 0", min_width="0")
        legend = captions.relevance_legend() if has_truths else ""
        right = VBox([self.summary, self.result_grid, HTML(legend)])
        right.layout = Layout(flex="3 1 0", min_width="0")
        columns = HBox([left, right], layout=Layout(grid_gap="0 1.5em"))
        return [self.query_grid, self.status, columns, self.caption, self.pair_canvas]

    def _connect(self) -> None:
        self.upload.observe(self._on_upload, names="value")
        self.query.observe(self._reload, names="value")
        self.query_canvas.observe(self._search_neighbors, names="box")
        for control in self.controls.search_controls:
            control.observe(self._search_and_show, names="value")
        for control in (self.controls.results, self.controls.rank):
            control.observe(self._show_results, names="value")
        self.query_grid.observe(self._on_query_selected, names="selected")
        self.result_grid.observe(self._on_result_selected, names="selected")

    @property
    def box(self) -> Box | None:
        """The dragged box in pixels of the query's photo, or None for the whole query."""
        if self.query_canvas.box is None:
            return None
        query = self._queries[self.query.value]
        size = np.array(query.features.image_size)
        displayed = fit_size(query.photo.shape[:2], QUERY_SIZE)
        return Box(*(np.array(self.query_canvas.box) * np.tile(size / displayed, 2)).tolist())

    def figure(self) -> Figure:
        """Draw the query, the results and the matches of one result as a figure."""
        return self._view.figure(self.controls.results.value, self._position)

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """Add the figure to the widget's output, for pages that cannot run widgets."""
        return super()._repr_mimebundle_(**kwargs) | {"image/jpeg": self.figure().to_bytes("jpeg")}

    @property
    def _position(self) -> int:
        """Position in the ranking, from 0, of the result whose matches are shown."""
        return self.controls.rank.value - 1

    # --- searching

    def _on_query_selected(self, change: Mapping[str, Any]) -> None:
        self.query.value = list(self._queries)[change["new"]]

    def _reload(self, _: object = None) -> None:
        """Search with the whole chosen query."""
        if self._paused:
            return
        self._paused = True
        self.query_canvas.box, self.controls.rank.value = None, 1
        self._paused = False
        self.query_grid.selected = list(self._queries).index(self.query.value)
        self._search_neighbors()
        self.controls.rank.value = self._view.first_other_result() + 1

    def _search_neighbors(self, _: object = None) -> None:
        """Find the neighbors of the query, or of the features in the box; then rank the photos."""
        if self._paused:
            return
        start, query = time.perf_counter(), self._queries[self.query.value]
        most = self.controls.neighbors.max
        self._search = cache_neighbors(self._searcher, query.features, self.box, max_neighbors=most)
        self._search_and_show(start=start)
        self.heading.value = self._view.heading()
        self.query_canvas.alt = f"query {short_name(query.name)}"
        image = self._view.query_image()
        self.query_canvas.layout.max_width = f"{image.shape[1] // 2}px"
        self.query_canvas.image = encode_jpeg(image)

    def _search_and_show(self, _: object = None, *, start: float | None = None) -> None:
        """Rank the photos with the current settings, and show the results.

        Args:
            start: When the search began, as `time.perf_counter` gives it. None: now.
        """
        start = time.perf_counter() if start is None else start
        config = self.controls.config
        with message_if_slow(
            self.summary, "Searching. The first search of each size is compiled …"
        ):
            self._view = SearchView(
                query=self._queries[self.query.value],
                box=self.box,
                search=self._search,
                config=config,
                result=self._search.search(config),
                load=self._load,
                load_thumbnail=self._load_thumbnail,
            )
        self.summary.value = self._view.summary(time.perf_counter() - start)
        self.status.value = ""
        self._show_results()

    def _on_upload(self, change: Mapping[str, Any]) -> None:
        """Search with an uploaded photo; if that fails, show the reason and keep the view."""
        if not change["new"]:
            return
        name = change["new"][0]["name"]
        self.status.value = captions.running("the network", name)
        try:
            photo = read_upload(change["new"][0])
            features = self._searcher.reduce(self._model(photo))
            cache_neighbors(self._searcher, features, max_neighbors=1)  # fails if they do not fit
        except ValueError as error:  # such as a PhotoError
            self.status.value = captions.notice(str(error))
        else:
            self._queries[name] = Query(name=name, photo=photo, features=features)
            self._paused = True
            self.query.options, self.query.value = list(self._queries), name
            self._paused = False
            self._show_queries()
            self._reload()
        self.upload.value = ()  # allows uploading the same file again

    # --- showing

    def _show_queries(self) -> None:
        columns = min(max(len(self._queries), MIN_QUERY_COLUMNS), MAX_QUERY_COLUMNS)
        width = QUERY_GRID_WIDTH // columns
        labels = [short_name(name) for name in self._queries]
        cards = [
            Card(photo=thumbnail(query.photo, width), lines=(label,))
            for query, label in zip(self._queries.values(), labels, strict=True)
        ]
        selected = list(self._queries).index(self.query.value)
        self.query_grid.show_cards(cards, columns=columns, card_width=width, selected=selected)
        self.query_grid.alt = f"queries: {', '.join(labels)}"

    def _show_results(self, _: object = None) -> None:
        """Show the first results, and the matches of one of them."""
        if self._paused:
            return
        self._paused = True
        cards = self._view.cards(self.controls.results.value)
        self.controls.rank.max = max(1, len(cards))
        self.result_grid.show_cards(
            cards, columns=RESULT_COLUMNS, card_width=CARD_WIDTH, selected=self._position
        )
        self._paused = False
        self.result_grid.alt = "results: " + "; ".join(": ".join(card.lines) for card in cards)
        image, caption = self._view.pair(self._position)
        self.pair_canvas.layout.max_width = f"{PAGE_WIDTH * image.shape[1] // PAIR_WIDTH}px"
        self.pair_canvas.image, self.pair_canvas.alt = encode_jpeg(image), caption
        self.caption.value = html.escape(caption)

    def _on_result_selected(self, change: Mapping[str, Any]) -> None:
        if not self._paused:
            self.controls.rank.value = change["new"] + 1
