"""The retrieval explorer: ask by a photo or a part of it, and see the ranking follow the settings (Sec. 4.4).

Neighbors are searched once for a query and a box; whatever is moved after that is answered and drawn anew
in a tenth of a second.
"""

import html
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import clear_output, display
from ipywidgets import HTML, HBox, Layout, VBox

from delfjax.datasets.truth import Truth
from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.pca import PCA
from delfjax.images.reading import Box
from delfjax.plots.base import Drawing, encode
from delfjax.plots.match_pictures import CARD, PAIR, QUERY
from delfjax.plots.thumbnails import Card, fitted_size, thumbnail
from delfjax.search.searcher import Searcher
from delfjax.types import Features, Photo
from delfjax.widgets import retrieval_captions
from delfjax.widgets.attention_captions import notice
from delfjax.widgets.canvas import Picture
from delfjax.widgets.card_sheet import Cards
from delfjax.widgets.retrieval_controls import RetrievalControls
from delfjax.widgets.retrieval_state import Inquiry, ask, of_database
from delfjax.widgets.retrieval_view import View
from delfjax.widgets.upload import WIDE, read_upload

COLUMNS = 4  # results a row
FEWEST, MOST, STRIP = 6, 12, 1800  # queries a row, and the width of the row
PATIENCE = 0.5  # seconds: of a visitor, before words say what takes so long
PAGE = 1050  # pixels of the screen: about the width that a notebook has


def search_photos(
    searcher: Searcher,
    load: Callable[[str], Photo],
    queries: Sequence[str] | Mapping[str, Features],
    *,
    truths: Mapping[str, Truth] | None = None,
    extractor: LocalExtractor | None = None,
    pca: PCA | None = None,
) -> "RetrievalExplorer":
    """Offer queries, and the visitor's own photos, to search a database with.

    Args:
        searcher: Over the database. Its configuration is what the controls begin with.
        load: Reads a photo by its name, of the database or a query, at any size.
        queries: Names of photos of the database; or the features of other photos by name, reduced as the
            database is.
        truths: What a query should find, by its name, where that is known.
        extractor: Of a visitor's photo; without one, none can be uploaded.
        pca: The database's, for the extractor's descriptors; None: they are compared as they come.

    Returns:
        A widget. Where widgets do not live, as on a page that shows a saved notebook, its figure is seen.

    Raises:
        ValueError: If there is no query, or one by name that the database does not have.
    """
    if not isinstance(queries, Mapping):
        queries = of_database(searcher.database, queries)
    if not queries:
        raise ValueError("0 queries; expected one at least")
    display(HTML(notice("The first search compiles its programs: this takes some seconds …")))
    ask(searcher, next(iter(queries.values()))).answer(searcher.config)
    clear_output()  # the words make room for the widget
    return RetrievalExplorer(searcher, load, queries, truths or {}, extractor, pca)


@contextmanager
def _said_meanwhile(place: HTML, words: str) -> Iterator[None]:
    """Say something if what happens inside takes longer than usual; at once it would flicker."""
    timer = threading.Timer(PATIENCE, setattr, (place, "value", words))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # or its words might come after the answer's


class RetrievalExplorer(VBox):
    """The widget that `search_photos` makes; its parts are attributes, so that a program can drive it, too.

    Attributes:
        strip: The queries, to choose from.
        photo, upload: The one that is asked; adds a photo of the visitor's own.
        picture: The query, to drag a box on.
        controls: How the query is answered, how many results are shown, and whose matches.
        ranking: The results, to choose from.
        pair: The query and one result, with their matches.
        heading, summary, caption: Words on the query, on the answer, and on the pair.
        status: What is being waited for, or went wrong.
    """

    def __init__(
        self,
        searcher: Searcher,
        load: Callable[[str], Photo],
        queries: Mapping[str, Features],
        truths: Mapping[str, Truth],
        extractor: LocalExtractor | None,
        pca: PCA | None,
    ) -> None:
        self._searcher, self._load, self._truths = searcher, load, truths
        self._extractor, self._pca = extractor, pca
        self._queries = dict(queries)
        self._photos = {name: load(name) for name in queries}  # of the queries
        self._load_small = cache(lambda name: thumbnail(load(name), CARD))
        self._inquiry: Inquiry
        self._view: View
        self._quiet = False  # while the program itself changes controls
        self.photo = ipywidgets.Dropdown(options=list(queries), description="query", **WIDE)
        self.upload = ipywidgets.FileUpload(
            accept="image/*",
            description="your own photo",
            layout=Layout(width="max-content", margin="0 0 0 7.5em"),
        )
        if extractor is None:
            self.upload.layout.display = "none"
        self.controls = RetrievalControls(searcher.config, len(searcher.database))
        self.strip, self.ranking = Cards(), Cards()
        self.picture, self.pair = Picture(boxes=True), Picture()
        self.heading, self.summary, self.caption, self.status = (HTML() for _ in range(4))
        super().__init__(self._arranged())
        self._observe()
        self._show_queries()
        self._reload()

    def _arranged(self) -> list[ipywidgets.Widget]:
        left = VBox([self.heading, self.picture, self.photo, self.controls, self.upload])
        left.layout = Layout(flex="2 1 0", min_width="0")
        legend = retrieval_captions.legend() if self._truths else ""
        right = VBox([self.summary, self.ranking, HTML(legend)])
        right.layout = Layout(flex="3 1 0", min_width="0")
        both = HBox([left, right], layout=Layout(grid_gap="0 1.5em"))
        return [self.strip, self.status, both, self.caption, self.pair]

    def _observe(self) -> None:
        self.upload.observe(self._take_upload, names="value")
        self.photo.observe(self._reload, names="value")
        self.picture.observe(self._ask, names="box")
        for control in self.controls.asked:
            control.observe(self._search, names="value")
        for control in (self.controls.results, self.controls.rank):
            control.observe(self._show_results, names="value")
        self.strip.observe(self._choose_query, names="chosen")
        self.ranking.observe(self._choose_result, names="chosen")

    @property
    def box(self) -> Box | None:
        """The part of the query that is searched by, in pixels of its photo."""
        if self.picture.box is None:
            return None
        name = self.photo.value
        size = np.array(self._queries[name].image_size)
        shown = fitted_size(self._photos[name].shape[:2], QUERY)
        return Box(*(np.array(self.picture.box) * np.tile(size / shown, 2)).tolist())

    def figure(self) -> Drawing:
        """Draw query, results and the matches of one of them, to be kept."""
        return self._view.figure(self.controls.results.value, self._place)

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """Give the figure beside the widget: pages on which no widget lives show that."""
        return super()._repr_mimebundle_(**kwargs) | {"image/jpeg": self.figure().encoded("jpeg")}

    @property
    def _place(self) -> int:
        """Of the result whose matches are shown, from 0."""
        return self.controls.rank.value - 1

    # --- asking and answering

    def _choose_query(self, change: Mapping[str, Any]) -> None:
        self.photo.value = list(self._queries)[change["new"]]

    def _reload(self, _: object = None) -> None:
        """Ask by another photo, all of it."""
        if self._quiet:
            return
        self._quiet = True
        self.picture.box, self.controls.rank.value = None, 1
        self._quiet = False
        self.strip.chosen = list(self._queries).index(self.photo.value)
        self._ask()

    def _ask(self, _: object = None) -> None:
        """Find the neighbors of the query, or of what is in the box."""
        if self._quiet:
            return
        start, query = time.perf_counter(), self._queries[self.photo.value]
        self._inquiry = ask(self._searcher, query, self.box, most=self.controls.neighbors.max)
        self._search(start=start)
        used = None if self.box is None else len(self._inquiry.query)
        self.heading.value = retrieval_captions.query(self.photo.value, len(query), used)
        self.picture.alt = f"query {retrieval_captions.stem(self.photo.value)}"
        shown = self._view.query_picture()
        self.picture.layout.max_width = f"{shown.shape[1] // 2}px"
        self.picture.image = encode(shown)

    def _search(self, _: object = None, *, start: float | None = None) -> None:
        """Vote and verify by what the controls say; say how long that took, since an earlier start if given."""
        start = time.perf_counter() if start is None else start
        with _said_meanwhile(self.summary, retrieval_captions.waiting()):
            self._view = self._answered()
        self.summary.value = self._view.summary(time.perf_counter() - start)
        self.status.value = ""
        self._show_results()

    def _answered(self) -> View:
        name, config = self.photo.value, self.controls.config
        return View(
            name=name,
            photo=self._photos[name],
            features=self._queries[name],
            box=self.box,
            inquiry=self._inquiry,
            config=config,
            answer=self._inquiry.answer(config),
            truth=self._truths.get(name),
            load=self._load,
            load_small=self._load_small,
        )

    def _take_upload(self, change: Mapping[str, Any]) -> None:
        """Ask by a photo that was uploaded; of one that cannot be read say why, and stay where we are."""
        if not change["new"]:
            return
        name = change["new"][0]["name"]
        self.status.value = notice(f"{name} goes through the network: this takes some seconds …")
        try:
            photo = read_upload(change["new"][0])
            features = self._extract(photo)
        except ValueError as error:  # such as a PhotoError
            self.status.value = notice(str(error))
        else:
            self._photos[name], self._queries[name] = photo, features
            self._quiet = True
            self.photo.options, self.photo.value = list(self._queries), name
            self._quiet = False
            self._show_queries()
            self._reload()
        self.upload.value = ()  # so that the same file can be chosen again

    def _extract(self, photo: Photo) -> Features:
        """Extract and reduce; refuse what the database cannot be searched with."""
        features = self._extractor(photo)
        if self._pca is not None:
            features = features.with_descriptors(self._pca(features.descriptors))
        ask(self._searcher, features, most=1)
        return features

    # --- showing

    def _show_queries(self) -> None:
        columns = int(np.clip(len(self._queries), FEWEST, MOST))
        side, names = STRIP // columns, list(self._queries)
        cards = [
            Card(photo=thumbnail(self._photos[name], side), lines=(retrieval_captions.stem(name),))
            for name in names
        ]
        chosen = names.index(self.photo.value)
        self.strip.show(cards, columns=columns, side=side, chosen=chosen)
        self.strip.alt = f"queries: {', '.join(map(retrieval_captions.stem, names))}"

    def _show_results(self, _: object = None) -> None:
        """Draw the first results, and the matches of the one that is chosen."""
        if self._quiet:
            return
        self._quiet = True
        cards = self._view.cards(self.controls.results.value)
        self.controls.rank.max = max(1, len(cards))
        self.ranking.show(cards, columns=COLUMNS, side=CARD, chosen=self._place)
        self._quiet = False
        self.ranking.alt = "results: " + "; ".join(": ".join(card.lines) for card in cards)
        self._show_pair()

    def _choose_result(self, change: Mapping[str, Any]) -> None:
        if not self._quiet:
            self.controls.rank.value = change["new"] + 1

    def _show_pair(self) -> None:
        """Draw the matches of the result that is chosen."""
        shown, words = self._view.pair(self._place)
        self.pair.layout.max_width = f"{PAGE * shown.shape[1] // PAIR}px"
        self.pair.image, self.pair.alt = encode(shown), words
        self.caption.value = html.escape(words)
