"""Search with one query and changing settings, and describe the results (Sec. 4.4).

The nearest-neighbor search takes the most time and depends on the query only. `CachedSearch` runs it once,
with the largest number of neighbors. A search with other settings uses the first of these neighbors and
repeats only voting and verification, so it can follow a slider.
"""

from collections.abc import Callable
from pathlib import PurePosixPath

from delfjax.datasets.truth import Truth, relevance
from delfjax.evaluation.metrics import score_rankings
from delfjax.features.database import Database
from delfjax.plots.retrieval import RELEVANCE_MARKS, Card
from delfjax.search.index import NEIGHBORS, Neighbors
from delfjax.search.searcher import SearchConfig, Searcher, SearchResult
from delfjax.types import Box, Features, Matches, Photo

SLOW = 1.0  # seconds: a search that takes longer includes compilation


class CachedSearch:
    """A query with its nearest neighbors, ready for searches with different settings.

    Args:
        searcher: Searcher of the database. Its configuration is not used.
        features: Features of the query, as extracted or reduced like those of the database.
        box: Part of the query to search with, in pixels of its photo. None: all of it.
        max_neighbors: Number of neighbors per feature, the maximum for later searches.

    Attributes:
        features: The features to search with.
    """

    def __init__(
        self,
        searcher: Searcher,
        features: Features,
        box: Box | None = None,
        *,
        max_neighbors: int = NEIGHBORS,
    ) -> None:
        features = searcher.reduce(features)
        self._searcher = searcher
        self.features = features if box is None else features.inside(box)
        k = min(max_neighbors, len(searcher.database.descriptors))
        self._neighbors = searcher.index.search(self.features.descriptors, k)

    def search(self, config: SearchConfig) -> SearchResult:
        """Rank the database, with the same result as a `Searcher` of this configuration.

        Raises:
            ValueError: If the configuration needs more neighbors than are cached.
        """
        searcher, neighbors = self._configure(config)
        return searcher.rank(self.features, neighbors)

    def matches(self, image: int, config: SearchConfig) -> Matches:
        """Return the putative matches with the database photo of a number, verified or not."""
        searcher, neighbors = self._configure(config)
        return searcher.photo_matches(self.features, searcher.pair_features(neighbors), image)

    def _configure(self, config: SearchConfig) -> tuple[Searcher, Neighbors]:
        """Return a searcher of a configuration, and as many neighbors as it needs."""
        database, cached = self._searcher.database, self._neighbors.rows.shape[1]
        if min(config.neighbors, len(database.descriptors)) > cached:
            raise ValueError(
                f"the configuration needs {config.neighbors} neighbors, but only {cached} are cached. "
                f"Fix: pass max_neighbors={config.neighbors} to CachedSearch"
            )
        neighbors = Neighbors(*(part[:, : config.neighbors] for part in self._neighbors))
        return Searcher(database, self._searcher.index, config), neighbors


def average_precision(result: SearchResult, truth: Truth) -> float:
    """Return the average precision of one ranking, 0 to 1, or NaN for a query without positives."""
    return float(score_rankings([result.ranking.images], [truth], ks=()).average_precision[0])


def summarize(result: SearchResult, database: Database, truth: Truth | None, seconds: float) -> str:
    """Return, as HTML, the number of photos found and verified, the time, and the average precision."""
    if not len(result.ranking):
        return "No photo has a vote. Increase the maximum distance, or drag a larger box."
    verified = int((result.ranking.inliers >= 0).sum())
    parts = [
        f"<b>{len(result.ranking):,} of {pluralize(len(database), 'photo')} have votes</b>",
        f"{verified} verified" if verified else "ranked by votes, none verified",
        f"{1000 * seconds:,.0f} ms",
    ]
    if seconds > SLOW:
        parts[-1] += " (includes compilation, once for each size)"
    if truth is not None and len(truth.positives):
        parts.append(f"average precision {average_precision(result, truth):.1%}")
    return " · ".join(parts)


def result_cards(
    result: SearchResult,
    database: Database,
    truth: Truth | None,
    load: Callable[[str], Photo],
    count: int,
) -> list[Card]:
    """Return the cards of the first results: rank, name, relevance, and inliers or votes.

    Args:
        result: The search result.
        database: The photos that were searched.
        truth: Correct results, if they are known.
        load: Function that reads a database photo at the size of a card.
        count: Number of results.
    """
    ranking, cards = result.ranking, []
    for position, image in enumerate(ranking.images[:count].tolist()):
        name, color = database.names[image], None
        text = pluralize(int(ranking.inliers[position]), "inlier")
        if ranking.inliers[position] < 0:  # not verified
            text = pluralize(int(ranking.votes[position]), "vote")
        if truth is not None:
            kind = relevance(truth, image)
            mark, color = RELEVANCE_MARKS[kind]
            text = f"{mark} {kind}, {text}"
        lines = (f"{position + 1}  {short_name(name)}", text)
        cards.append(Card(photo=load(name), lines=lines, color=color))
    return cards


def short_name(photo: str) -> str:
    """Return a photo's file name without folder and suffix."""
    return PurePosixPath(photo).stem


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if needed."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
