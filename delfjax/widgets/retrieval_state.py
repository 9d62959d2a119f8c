"""State of the retrieval explorer: one query, searched with changing settings (Sec. 4.4).

The nearest-neighbor search takes the most time and depends on the query only. `cache_neighbors` runs
it once, with the largest number of neighbors. A search with other settings uses the first of these
neighbors and repeats only voting and verification, so it can follow a slider.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import PurePosixPath

from delfjax.datasets.truth import Truth, relevance
from delfjax.evaluation.metrics import score_rankings
from delfjax.features.database import Database
from delfjax.plots.base import Figure
from delfjax.plots.pairs import pair_image, query_image
from delfjax.plots.retrieval import (
    CARD_WIDTH,
    RELEVANCE_MARKS,
    Card,
    result_figure,
    thumbnail,
)
from delfjax.search.index import NEIGHBORS, Neighbors
from delfjax.search.searcher import SearchConfig, Searcher, SearchResult
from delfjax.types import Box, Features, Matches, Photo
from delfjax.widgets import captions

BOX_HELP = "Drag a box to search with a part of the query."
REMOVE_BOX_HELP = "Click to remove the box."
SLOW = 1.0  # seconds: a search that takes longer includes compilation


@dataclass(frozen=True, kw_only=True, eq=False)
class CachedSearch:
    """Features with their nearest neighbors, ready for searches with different settings.

    Attributes:
        searcher: Searcher of the database. Its configuration is not used.
        features: Features of the query to search with.
        neighbors: Nearest database features of each of them.
    """

    searcher: Searcher
    features: Features
    neighbors: Neighbors

    def search(self, config: SearchConfig) -> SearchResult:
        """Rank the database, with the same result as a `Searcher` of this configuration.

        Raises:
            ValueError: If the configuration needs more neighbors than are cached.
        """
        return self._searcher(config).rank(self.features, self._first_neighbors(config))

    def matches(self, image: int, config: SearchConfig) -> Matches:
        """Return the putative matches with one photo, whether or not it is verified.

        Args:
            image: Number of the photo in the database.
            config: Search settings.
        """
        searcher = self._searcher(config)
        pairs = searcher.pair_features(self._first_neighbors(config))
        return searcher.photo_matches(self.features, pairs, image)

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
    searcher: Searcher,
    features: Features,
    box: Box | None = None,
    *,
    max_neighbors: int = NEIGHBORS,
) -> CachedSearch:
    """Find the nearest neighbors of a query, or of the part of it inside a box.

    Args:
        searcher: Searcher of the database.
        features: Features of the query, as extracted or reduced like those of the database.
        box: Part of the query to search with, in pixels of its photo. None: all of it.
        max_neighbors: Number of neighbors per feature, the maximum for later searches.
    """
    features = searcher.reduce(features)
    features = features if box is None else features.inside(box)
    k = min(max_neighbors, len(searcher.database.descriptors))
    neighbors = searcher.index.search(features.descriptors, k)
    return CachedSearch(searcher=searcher, features=features, neighbors=neighbors)


def average_precision(result: SearchResult, truth: Truth) -> float:
    """Return the average precision of one ranking, 0 to 1, or NaN for a query without positives."""
    return float(score_rankings([result.ranking.images], [truth], ks=()).average_precision[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """A photo to search with.

    Attributes:
        name: Name of the photo.
        photo: The photo, at any size.
        features: Features of the photo at its original size, reduced like those of the database.
        truth: Correct results. None: not known.
    """

    name: str
    photo: Photo
    features: Features
    truth: Truth | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchView:
    """A query and its search result, with the images and captions that the explorer shows.

    The position of a result is its place in the ranking, from 0.

    Attributes:
        query: The query.
        box: Part of the query to search with, in pixels of its original photo. None: all of it.
        search: The cached neighbors of the query.
        config: Settings of the search.
        result: Result of the search.
        load: Function that reads a database photo by its name, at any size.
        load_thumbnail: Function that reads a database photo at the size of a card.
    """

    query: Query
    box: Box | None
    search: CachedSearch
    config: SearchConfig
    result: SearchResult
    load: Callable[[str], Photo]
    load_thumbnail: Callable[[str], Photo]

    def heading(self) -> str:
        """Return the heading of the query: its name, number of features, and help."""
        used, help_text = count(len(self.query.features), "feature"), BOX_HELP
        if self.box is not None:
            used, help_text = f"{len(self.search.features)} of {used}", REMOVE_BOX_HELP
        name = html.escape(short_name(self.query.name))
        return captions.block(f"<b>{name}</b>, {used}. {help_text}")

    def summary(self, seconds: float) -> str:
        """Summarize the search: photos found and verified, time in seconds, average precision."""
        ranking, truth = self.result.ranking, self.query.truth
        if not len(ranking):
            text = "No photo has a vote. Increase the maximum distance, or drag a larger box."
            return captions.block(text, role="status")
        verified = int((ranking.inliers >= 0).sum())
        parts = [
            f"<b>{len(ranking):,} of {count(len(self._database), 'photo')} have votes</b>",
            f"{verified} verified" if verified else "ranked by votes, none verified",
            f"{1000 * seconds:,.0f} ms",
        ]
        if seconds > SLOW:
            parts[-1] += " (includes compilation, once for each size)"
        if truth is not None and len(truth.positives):
            parts.append(f"average precision {average_precision(self.result, truth):.1%}")
        return captions.block(" · ".join(parts), role="status")

    def first_other_result(self) -> int:
        """Return the position of the first result that is not the query photo itself."""
        images = self.result.ranking.images[:2].tolist()
        itself = [self._database.names[image] == self.query.name for image in images]
        return 1 if itself == [True, False] else 0

    def query_image(self) -> Photo:
        """Draw the query with its features and the box."""
        return query_image(self.query.photo, self.query.features, self.box)

    def cards(self, results: int) -> list[Card]:
        """Return the cards of the first results."""
        return [self._card(position) for position in range(min(results, len(self.result.ranking)))]

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
        name = self._database.names[image]
        height, width = self._database.image_sizes[image].tolist()
        verification = self.result.verifications.get(image)
        if verification is None:
            matches, inliers = self.search.matches(image, self.config), None
            verified = "not verified"
        else:
            matches, inliers = self.result.matches[image], verification.inliers
            verified = f"{count(verification.num_inliers, 'inlier')} (bright)"
        drawn = pair_image(
            (self.query.photo, self.load(name)),
            (self.query.features.image_size, (height, width)),
            matches,
            inliers,
        )
        return drawn, (
            f"{short_name(self.query.name)} and result {position + 1}, {short_name(name)}: "
            f"{len(matches):,} putative matches, {verified}"
        )

    def figure(self, results: int, position: int) -> Figure:
        """Draw a figure of the query, its first results, and the matches of one result.

        Args:
            results: Number of results.
            position: Position of the result whose matches are drawn.
        """
        photo = thumbnail(self.query_image(), CARD_WIDTH)
        query = Card(photo=photo, lines=("query", short_name(self.query.name)))
        drawn, caption = self.pair(position)
        titles = self._settings(), caption
        return result_figure([query, *self.cards(results)], drawn, titles)

    def _settings(self) -> str:
        config = self.config
        part = "the query" if self.box is None else "the features in a box of the query"
        limit = "" if config.max_distance == inf else f" within distance {config.max_distance:.2f}"
        order = f"top {config.verified} verified" if config.verified else "ranked by votes"
        return f"{part}, {count(config.neighbors, 'neighbor')} per feature{limit}, {order}"

    @property
    def _database(self) -> Database:
        return self.search.searcher.database

    def _card(self, position: int) -> Card:
        ranking, truth = self.result.ranking, self.query.truth
        image, inliers = int(ranking.images[position]), int(ranking.inliers[position])
        name, color = self._database.names[image], None
        text = count(inliers, "inlier")
        if inliers < 0:  # not verified
            text = count(int(ranking.votes[position]), "vote")
        if truth is not None:
            kind = relevance(truth, image)
            mark, color = RELEVANCE_MARKS[kind]
            text = f"{mark} {kind}, {text}"
        lines = (f"{position + 1}  {short_name(name)}", text)
        return Card(photo=self.load_thumbnail(name), lines=lines, color=color)


def short_name(photo: str) -> str:
    """Return a photo's file name without folder and suffix."""
    return PurePosixPath(photo).stem


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if needed."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
