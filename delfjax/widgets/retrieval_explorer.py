"""The retrieval explorer: a widget that searches a database with a query photo (Sec. 4.4).

The nearest-neighbor search runs once for each query, and once for each box that is dragged on the
query. Other changes take about a tenth of a second.
"""

import html
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
from IPython.display import clear_output, display
from ipywidgets import (
    HTML,
    Checkbox,
    FileUpload,
    HBox,
    IntSlider,
    Layout,
    SelectionSlider,
    ValueWidget,
    VBox,
    Widget,
)

from delfjax.datasets.benchmark import Truth
from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.factory import load as load_model
from delfjax.files import printable
from delfjax.images.folder import PhotoFolder, scan
from delfjax.images.reading import read_image
from delfjax.plots.base import Figure, encode_jpeg, fit_size, pluralize
from delfjax.plots.pages import image_tag
from delfjax.plots.pairs import QUERY_SIZE, pair_image, query_image
from delfjax.plots.retrieval import CARD_WIDTH, RELEVANCE_MARKS, Card, result_figure, thumbnail
from delfjax.search.index import NEIGHBORS, Neighbors
from delfjax.search.photo_search import cached_index, cached_store_path, update_cached_store
from delfjax.search.searcher import VERIFIED, SearchConfig, Searcher, SearchResult
from delfjax.types import Box, Features, Photo
from delfjax.widgets.canvas import BoxCanvas, CardGrid
from delfjax.widgets.retrieval_state import (
    describe_verdict,
    result_cards,
    short_name,
    summarize,
)
from delfjax.widgets.upload import block, notice, read_upload

DEFAULT_QUERIES = 12  # number of database photos that are queries by default
RESULTS, MAX_RESULTS = 10, 40  # number of results: initial, maximum
PAIR_WIDTH = 1200  # pixels of a matched pair, about twice its width on screen
PAIR_STYLE = "<style>.dx-pair img {max-width: 100%; height: auto}</style>"
# Options of the distance slider. The distance of two unit vectors is at most 2.
DISTANCES = [step / 20 for step in range(2, 25)]
MESSAGE_DELAY = 0.5  # seconds: avoids a message that flickers during a fast search


def search_photos(
    searcher: Searcher | str | Path,
    photos: str | Path | Callable[[str], Photo] | None = None,
    queries: Sequence[str] | Mapping[str, Features] | None = None,
    *,
    truths: Mapping[str, Truth] | None = None,
    model: LocalExtractor | None = None,
) -> "RetrievalExplorer":
    """Show a widget that searches a photo collection.

    In the widget, you select a query photo, and change the settings of the search. You can drag a
    box on the query to search with the features in the box only.

    Args:
        searcher: Folder of photos, or a searcher. The features of a folder are kept in the cache, as
            by ``delfjax search``. The widget starts with the configuration of the searcher.
        photos: Only with a searcher: folder of the database and query photos, or a function that
            maps the name of a photo to the photo, at any size.
        queries: Names of database photos, or a mapping from names of photos to features. None: the
            first 12 database photos.
        truths: Mapping from names of some or all queries to their ground truth.
        model: Model that extracts the features of a folder and of uploaded photos. None: with a
            folder, the default model; with a searcher, photos cannot be uploaded.

    Returns:
        The widget. Where widgets cannot run, such as on GitHub, a figure is shown instead.

    Raises:
        PhotoError: If no photo of the folder can be read.
        ValueError: If ``queries`` is empty, or contains a name that is not in the database. Also if
            ``photos`` is missing for a searcher, or given for a folder.

    Example:
        >>> import delfjax as dx
        >>> dx.search_photos("photos")
    """
    if isinstance(searcher, Searcher) == (photos is None):
        raise ValueError(
            "the argument 'photos' is needed if the first argument is a searcher, and not allowed if it is a "
            "folder. Fix: pass a folder alone, or a searcher and photos=FOLDER"
        )
    message = ""
    if not isinstance(searcher, Searcher):
        photos, model = searcher, model or load_model()
        searcher, message = _open_folder(model, scan(photos))
    if queries is None:
        queries = searcher.database.names[:DEFAULT_QUERIES]
    if not isinstance(queries, Mapping):
        database = searcher.database
        numbers = {name: number for number, name in enumerate(database.names)}
        if missing := [name for name in queries if name not in numbers]:
            raise ValueError(
                f"queries contains {missing[0]!r}, which is not the name of a database photo; "
                f"expected names such as {database.names[0]!r}. Fix: correct the name, or pass a "
                "mapping from names of photos to features"
            )
        queries = {name: database.features(numbers[name]) for name in queries}
    if not queries:
        raise ValueError("queries is empty; expected at least one photo. Fix: add a query")
    load = photos if callable(photos) else lambda name: read_image(Path(str(photos)) / name)
    display(HTML(notice("Compiling the search. This takes a few seconds …")))
    try:
        explorer = RetrievalExplorer(searcher, load, queries, truths or {}, model)
        explorer._search_neighbors()  # again, because the time of the first search includes compilation
    finally:
        clear_output()  # the widget replaces the message
    explorer.status.value = block(html.escape(message)) if message else ""
    return explorer


def _open_folder(model: LocalExtractor, photos: PhotoFolder) -> tuple[Searcher, str]:
    """Return a searcher of a folder of photos, and a sentence about its photos."""
    path = cached_store_path(model, photos)
    count = pluralize(len(photos), "photo")
    display(HTML(notice(f"Extracting {count}. The features are kept in {printable(str(path))}")))
    store = update_cached_store(model, photos)
    database = store.gather()
    lines = [f"Searching {pluralize(len(store), 'photo')} of {photos.root}."]
    if failed := store.report.failed:
        lines.append(f"{pluralize(len(failed), 'photo')} could not be read: {', '.join(failed)}.")
    searcher = Searcher(database, cached_index(database, store.path), pca=store.pca)
    return searcher, printable(" ".join(lines))


class RetrievalExplorer(VBox):
    """The widget that `search_photos` returns. The attributes are the parts of the widget.

    Attributes:
        query_grid: Thumbnails of all queries. A click selects the query.
        query_canvas: Image of the query, below ``heading``. A box can be dragged on this image.
        neighbors: Slider of the number of nearest database features per query feature.
        distance: Slider of the maximum descriptor distance between a query feature and a neighbor.
        verification: Checkbox for geometric verification (RANSAC) of the photos with most votes.
        results: Slider of the number of results to show.
        rank: Slider of the rank, from 1, of the result to compare with the query.
        upload: Button that uploads a photo. Messages appear in ``status``, below the button.
        result_grid: Thumbnails of the results, below ``summary``. A click selects a result.
        pair: Image of the matches between the query and one result, below ``caption``.
    """

    def __init__(
        self,
        searcher: Searcher,
        load: Callable[[str], Photo],
        queries: Mapping[str, Features],
        truths: Mapping[str, Truth],
        model: LocalExtractor | None,
    ) -> None:
        super().__init__()
        self._searcher, self._load, self._model = searcher, load, model
        self._photos = {name: load(name) for name in queries}
        self._features = {name: searcher.reduce(each) for name, each in queries.items()}
        self._truths = dict(truths)
        self._verified = searcher.config.verified or VERIFIED
        self._load_thumbnail = cache(lambda name: thumbnail(load(name), CARD_WIDTH))
        self._query: Features  # those in the box, if there is one
        self._neighbors: Neighbors  # as many as the slider allows
        self._result: SearchResult
        self._paused = False  # whether changes of controls are ignored
        self._create_controls()
        self.query_grid, self.result_grid = (
            CardGrid(title="queries", in_row=True),
            CardGrid(title="results"),
        )
        self._watch(self._reload, self.query_grid, name="selected")
        self._watch(self._on_result_selected, self.result_grid, name="selected")
        self.query_canvas = BoxCanvas()
        self._watch(self._search_neighbors, self.query_canvas, name="box")
        self.heading, self.summary, self.caption, self.pair = HTML(), HTML(), HTML(), HTML()
        sliders = [self.neighbors, self.distance, self.verification, self.results, self.rank]
        left = VBox([self.heading, self.query_canvas, *sliders, self.upload, self.status])
        left.layout = Layout(flex="1 1 0", min_width="0", max_width="24em")
        style = "border-bottom:4px solid {};margin-right:1.5em"
        marks = [
            f'<span style="{style.format(color)}">{mark} {kind}</span>'
            for kind, (mark, color) in RELEVANCE_MARKS.items()
        ]
        legend = [HTML(block("".join(marks)))] if truths else []
        right = VBox([self.summary, self.result_grid, *legend, self.caption, self.pair])
        right.layout = Layout(flex="2 1 0", min_width="0")
        columns = HBox([left, right], layout=Layout(grid_gap="0 1.5em"))
        self.children = [self.query_grid, columns]
        self._show_queries(0)
        self._reload()

    def _create_controls(self) -> None:
        config, photos = self._searcher.config, len(self._searcher.database)
        finite = sorted({*DISTANCES, config.max_distance} - {inf})
        distances = [*((f"{distance:.2f}", distance) for distance in finite), ("any", inf)]
        self.neighbors = labeled(
            IntSlider,
            "neighbors",
            value=config.neighbors,
            min=1,
            max=max(NEIGHBORS, config.neighbors),
            tooltip="Number of nearest database features per query feature",
        )
        self.distance = labeled(
            SelectionSlider,
            "max distance",
            options=distances,
            value=config.max_distance,
            tooltip="Neighbors with a larger descriptor distance are ignored",
        )
        self.verification = labeled(
            Checkbox, f"verify the top {self._verified}", value=config.verified > 0
        )
        self.results = labeled(
            IntSlider, "results", value=min(RESULTS, photos), min=1, max=min(MAX_RESULTS, photos)
        )
        shown = "Rank of the result whose matches are shown below"
        self.rank = labeled(IntSlider, "matches of #", value=1, min=1, max=1, tooltip=shown)
        self.status = HTML()
        self.upload = FileUpload(accept="image/*", description="upload a photo")
        self.upload.layout = Layout(width="max-content", margin="0 0 0 7.5em")
        self.upload.layout.display = "none" if self._model is None else None
        self.upload.observe(self._on_upload, names="value")
        self._watch(self._search_and_show, self.neighbors, self.distance, self.verification)
        self._watch(self._show_results, self.results, self.rank)

    @property
    def query(self) -> str:
        """Name of the selected query."""
        return [*self._photos][self.query_grid.selected]

    @property
    def config(self) -> SearchConfig:
        """Current search settings. Settings without a control come from the searcher."""
        return replace(
            self._searcher.config,
            neighbors=self.neighbors.value,
            max_distance=self.distance.value,
            verified=self._verified if self.verification.value else 0,
        )

    @property
    def box(self) -> Box | None:
        """Dragged box in pixels of the photo from which features were extracted, or None."""
        if self.query_canvas.box is None:
            return None
        size = np.array(self._features[self.query].image_size)
        displayed = fit_size(self._photos[self.query].shape[:2], QUERY_SIZE)
        return Box(*(np.array(self.query_canvas.box) * np.tile(size / displayed, 2)).tolist())

    # --- searching

    def _reload(self) -> None:
        """Remove the box, and search with the selected query."""
        with self._pause():
            self.query_canvas.set_trait("box", None)
            self.rank.value = 1
        self._search_neighbors()
        # A query from the database is its own first result, so compare it with the second result.
        images = self._result.ranking.images
        self.rank.value = 2 if len(images) > 1 and images[0] == self._itself else 1

    def _search_neighbors(self) -> None:
        """Find neighbors of all query features, or of those in the box, and show the results."""
        start, features = time.perf_counter(), self._features[self.query]
        self._query = features if self.box is None else features.inside(self.box)
        k = min(self.neighbors.max, len(self._searcher.database.descriptors))
        self._neighbors = self._searcher.index.search(self._query.descriptors, k)
        self._search_and_show(start)
        count = pluralize(len(features), "feature")
        text = f"{count}. Drag a box to search with a part of the query."
        if self.box is not None:
            text = f"{len(self._query)} of {count}. Click to remove the box."
        name, image = short_name(self.query), self._draw_query()
        self.heading.value = block(f"<b>{html.escape(name)}</b>, {text}")
        self.query_canvas.alt = f"query {name}"
        self.query_canvas.image = encode_jpeg(image)

    def _configured(self) -> tuple[Searcher, Neighbors]:
        """Return a searcher with the current settings, and the neighbors that it uses."""
        database, index = self._searcher.database, self._searcher.index
        neighbors = Neighbors(*(part[:, : self.neighbors.value] for part in self._neighbors))
        return Searcher(database, index, self.config), neighbors

    def _draw_query(self) -> Photo:
        """Draw the query photo with its features and the dragged box."""
        name = self.query
        return query_image(self._photos[name], self._features[name], self.box)

    def _search_and_show(self, start: float | None = None) -> None:
        """Rank the photos with the current settings. Show the results and the elapsed time."""
        start = time.perf_counter() if start is None else start
        message = block("Searching. The first searches also compile code …", role="status")
        timer = Timer(MESSAGE_DELAY, setattr, (self.summary, "value", message))
        timer.start()
        try:
            searcher, neighbors = self._configured()
            self._result = searcher.rank(self._query, neighbors)
        finally:
            timer.cancel()
            timer.join()  # otherwise the message could replace the result
        seconds, truth = time.perf_counter() - start, self._truths.get(self.query)
        text = summarize(self._result, self._searcher.database, truth, seconds)
        self.summary.value = block(text, role="status")
        self.status.value = ""
        self._show_results()

    def _on_upload(self, change: Mapping[str, Any]) -> None:
        if not change["new"]:
            return
        assert self._model is not None  # without a model, the upload button is hidden
        name = change["new"][0]["name"]
        self.status.value = notice(f"Extracting {name} …")
        try:
            photo = read_upload(change["new"][0])
            features = self._searcher.reduce(self._model(photo))
            self._searcher.index.search(features.descriptors[:0], 1)  # an error if sizes differ
            self._photos[name], self._features[name] = photo, features
            self._truths.pop(name, None)  # this is the truth of another photo with the same name
            self._show_queries([*self._photos].index(name))
            self._reload()
        except ValueError as error:  # such as a PhotoError
            self.status.value = notice(str(error))
        self.upload.value = ()  # allows uploading the same file again

    def _watch(self, update: Callable[[], None], *controls: Widget, name: str = "value") -> None:
        """Call ``update`` when the trait ``name`` of a control changes, except inside `_pause`."""

        def update_unless_paused(_: object) -> None:
            if not self._paused:
                update()

        for control in controls:
            control.observe(update_unless_paused, names=name)

    @contextmanager
    def _pause(self) -> Iterator[None]:
        """Ignore changes of controls inside the ``with`` block."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    # --- showing

    def _show_queries(self, selected: int) -> None:
        cards = [
            Card(photo=thumbnail(photo, CARD_WIDTH), lines=(short_name(name),))
            for name, photo in self._photos.items()
        ]
        with self._pause():
            self.query_grid.show(cards, selected)

    def _show_results(self) -> None:
        """Show the first results, and the matches between the query and the selected result."""
        cards = self._cards()
        with self._pause():
            self.rank.max = max(1, len(cards))
            self.result_grid.show(cards, self.rank.value - 1)
        image, caption = self._draw_pair()
        self.pair.value = f"{PAIR_STYLE}<div class=dx-pair>{image_tag(image, caption)}</div>"
        self.caption.value = block(html.escape(caption))

    def _on_result_selected(self) -> None:
        self.rank.value = self.result_grid.selected + 1

    @property
    def _itself(self) -> int | None:
        """Index of the database photo that is the query, or None. Photos may have equal names."""
        name, database = self.query, self._searcher.database
        if name not in database.names:
            return None
        image = database.names.index(name)
        own, other = self._features[name], database.features(image)
        return image if np.array_equal(own.positions, other.positions) else None

    def _cards(self) -> list[Card]:
        truth, load = self._truths.get(self.query), self._load_thumbnail
        database, count = self._searcher.database, self.results.value
        return result_cards(self._result, database, truth, load, count, self._itself)

    def _draw_pair(self) -> tuple[Photo, str]:
        """Draw the matches between the query and the selected result. Return image and caption."""
        query, rank = self.query, self.rank.value
        if not len(self._result.ranking):
            return self._draw_query(), "no results"
        image = int(self._result.ranking.images[rank - 1])
        name = self._searcher.database.names[image]
        height, width = self._searcher.database.image_sizes[image].tolist()
        verification = self._result.verifications.get(image)
        verified = describe_verdict(self._result, image, self._itself)
        if verification is None:
            searcher, neighbors = self._configured()
            pairs = searcher.pair_features(neighbors)
            matches, inliers = searcher.photo_matches(self._query, pairs, image), None
        else:
            matches, inliers = self._result.matches[image], verification.inliers
            verified = f"{pluralize(verification.num_inliers, 'inlier')} (bright): {verified}"
        sizes = self._features[query].image_size, (height, width)
        both = self._photos[query], self._load(name)
        return pair_image(both, sizes, matches, inliers, width=PAIR_WIDTH), (
            f"{short_name(query)} and result {rank}, {short_name(name)}: "
            f"{len(matches):,} putative matches, {verified}"
        )

    def figure(self) -> Figure:
        """Draw the query, the results, and the matches with the selected result as a figure."""
        config = self.config
        shown = thumbnail(self._draw_query(), CARD_WIDTH)
        card = Card(photo=shown, lines=("query", short_name(self.query), ""))
        part = "the query" if self.box is None else "the features in a box of the query"
        limit = "" if config.max_distance == inf else f" within distance {config.max_distance:.2f}"
        order = f"top {config.verified} verified" if config.verified else "ranked by votes"
        neighbors = pluralize(config.neighbors, "neighbor")
        image, caption = self._draw_pair()
        titles = f"{part}, {neighbors} per feature{limit}, {order}", caption
        return result_figure([card, *self._cards()], image, titles)

    def _repr_mimebundle_(self, **options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add a figure to the output of the widget, for pages that cannot run widgets."""
        data, metadata = self.figure()._repr_mimebundle_()
        return super()._repr_mimebundle_(**options) | data, metadata


def labeled(
    control: Callable[..., ValueWidget], description: str, **settings: object
) -> ValueWidget:
    """Create a control (an instance of the class ``control``) with a label of fixed width."""
    style, layout = {"description_width": "7em"}, {"width": "auto"}
    return control(description=description, style=style, layout=layout, **settings)
