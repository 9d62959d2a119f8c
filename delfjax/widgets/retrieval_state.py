"""State of the retrieval explorer: one query, searched with changing settings (Sec. 4.4).

The nearest-neighbor search takes the most time and depends on the query only. `cache_neighbors` runs
it once, with the largest number of neighbors. A search with other settings uses the first of these
neighbors and repeats only voting and verification, so it can follow a slider.
"""

from collections.abc import Callable
from dataclasses import dataclass

from delfjax.datasets.truth import Truth, relevance
from delfjax.evaluation.metrics import score_rankings
from delfjax.features.database import Database
from delfjax.images.reading import Box
from delfjax.plots.base import Figure
from delfjax.plots.match_images import (
    CARD_WIDTH,
    RELEVANCE_MARKS,
    pair_image,
    query_image,
    result_figure,
)
from delfjax.plots.thumbnails import Card, thumbnail
from delfjax.search.index import NEIGHBORS, Neighbors
from delfjax.search.searcher import SearchConfig, Searcher, SearchResult
from delfjax.types import Features, Matches, Photo
from delfjax.widgets import captions


@dataclass(frozen=True, kw_only=True, eq=False)
class CachedSearch:
    """A query with its nearest neighbors, ready for searches with different settings.

    Attributes:
        searcher: Searcher of the database. Its configuration is not used.
        query: Features of the query.
        neighbors: Nearest database features of each feature of the query.
    """

    searcher: Searcher
    query: Features
    neighbors: Neighbors

    def search(self, config: SearchConfig) -> SearchResult:
        """Rank the database, with the same result as a `Searcher` of this configuration.

        Raises:
            ValueError: If the configuration needs more neighbors than are cached.
        """
        return self._searcher(config).rank(self.query, self._first_neighbors(config))

    def matches(self, image: int, config: SearchConfig) -> Matches:
        """Return the putative matches with one photo, whether or not it is verified.

        Args:
            image: Number of the photo in the database.
            config: Search settings.
        """
        searcher = self._searcher(config)
        pairs = searcher.pair_features(self._first_neighbors(config))
        return searcher.photo_matches(self.query, pairs, image)

    def _searcher(self, config: SearchConfig) -> Searcher:
        return Searcher(self.searcher.database, self.searcher.index, config)

    def _first_neighbors(self, config: SearchConfig) -> Neighbors:
        cached, total = self.neighbors.rows.shape[1], len(self.searcher.database.descriptors)
        if min(config.neighbors, total) > cached:
            raise ValueError(
                f"the configuration needs {config.neighbors} neighbors, but only {cached} are cached. "
                f"Fix: pass max_neighbors={config.neighbors} to cache_neighbors"
            )
        return Neighbors(*(part[:, : config.neighbors] for part in self.neighbors))


def cache_neighbors(
    searcher: Searcher, query: Features, box: Box | None = None, *, max_neighbors: int = NEIGHBORS
) -> CachedSearch:
    """Find the nearest neighbors of a query, or of the part of it inside a box.

    Args:
        searcher: Searcher of the database.
        query: Features of the query, with descriptors reduced like those of the database.
        box: Part of the query to search with, in pixels of its photo. None: all of it.
        max_neighbors: Number of neighbors per feature, the maximum for later searches.
    """
    query = query if box is None else query.inside(box)
    count = min(max_neighbors, len(searcher.database.descriptors))
    neighbors = searcher.index.search(query.descriptors, count)
    return CachedSearch(searcher=searcher, query=query, neighbors=neighbors)


def average_precision(result: SearchResult, truth: Truth) -> float:
    """Return the average precision of one ranking, 0 to 1, or NaN for a query without positives."""
    return float(score_rankings([result.ranking.images], [truth], ks=()).average_precision[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchView:
    """A query and its search result, with the images and captions that the explorer shows.

    The position of a result is its place in the ranking, from 0.

    Attributes:
        name: Name of the query.
        photo: Photo of the query, at any size.
        features: All features of the query.
        box: Part of the query that was searched with, in pixels of the photo that the features were
            extracted from. None: all of it.
        search: The cached neighbors of the query.
        config: Settings of the search.
        result: Result of the search.
        truth: Correct results of the query. None: not known.
        load: Function that reads a database photo by its name, at any size.
        load_thumbnail: Function that reads a database photo at the size of a card.
    """

    name: str
    photo: Photo
    features: Features
    box: Box | None
    search: CachedSearch
    config: SearchConfig
    result: SearchResult
    truth: Truth | None
    load: Callable[[str], Photo]
    load_thumbnail: Callable[[str], Photo]

    def summary(self, seconds: float) -> str:
        """Summarize the search, which took this many seconds."""
        score = None if self.truth is None else average_precision(self.result, self.truth)
        return captions.search_summary(self.result.ranking, len(self._database), seconds, score)

    def query_image(self) -> Photo:
        """Draw the query with its features and the box."""
        return query_image(self.photo, self.features, self.box)

    def cards(self, count: int) -> list[Card]:
        """Return the cards of the first results."""
        return [self._card(position) for position in range(min(count, len(self.result.ranking)))]

    def pair(self, position: int) -> tuple[Photo, str]:
        """Draw the matches of the query and one result.

        Args:
            position: Position of the result.

        Returns:
            The image and its caption. If nothing is found, the image shows the query alone.
        """
        if not len(self.result.ranking):
            return self.query_image(), "no results"
        image = int(self.result.ranking.images[position])
        photo = self._database.names[image]
        height, width = self._database.image_sizes[image].tolist()
        verification = self.result.verifications.get(image)
        if verification is None:
            matches, inliers, count = self.search.matches(image, self.config), None, None
        else:
            matches, inliers = self.result.matches[image], verification.inliers
            count = verification.num_inliers
        drawn = pair_image(
            (self.photo, self.load(photo)),
            (self.features.image_size, (height, width)),
            matches,
            inliers,
        )
        return drawn, captions.pair_caption(self.name, photo, position, len(matches), count)

    def figure(self, count: int, position: int) -> Figure:
        """Draw a figure of the query, its first results, and the matches of one result.

        Args:
            count: Number of results.
            position: Position of the result whose matches are drawn.
        """
        photo = thumbnail(self.query_image(), CARD_WIDTH)
        query = Card(photo=photo, lines=("query", captions.short_name(self.name)))
        settings = captions.search_settings(self.config, has_box=self.box is not None)
        drawn, caption = self.pair(position)
        return result_figure([query, *self.cards(count)], drawn, (settings, caption))

    @property
    def _database(self) -> Database:
        return self.search.searcher.database

    def _card(self, position: int) -> Card:
        image = int(self.result.ranking.images[position])
        photo = self._database.names[image]
        kind = None if self.truth is None else relevance(self.truth, image)
        return Card(
            photo=self.load_thumbnail(photo),
            lines=captions.result_lines(self.result.ranking, position, photo, kind),
            color=None if kind is None else RELEVANCE_MARKS[kind][1],
        )
