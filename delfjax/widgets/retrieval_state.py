"""One question asked again and again with other settings, while somebody moves a slider (Sec. 4.4).

The search for neighbors is the part that grows with the database, and depends on nothing but the query: it
is done once, for the most neighbors that may be asked for. Fewer of them are the first of those, as each
feature's come nearest first; what is left to do is to vote and to verify.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from delfjax.datasets.truth import Truth
from delfjax.evaluation.metrics import evaluate
from delfjax.features.database import Database
from delfjax.images.reading import Box
from delfjax.search.index import NEIGHBORS, Neighbors
from delfjax.search.searcher import SearchResult, SearchConfig, Searcher
from delfjax.types import Features, Matches


@dataclass(frozen=True, kw_only=True, eq=False)
class Inquiry:
    """A query whose neighbors are known.

    Attributes:
        searcher: Has the database.
        query: The features that are searched by.
        neighbors: The nearest database features of each, nearest first.
    """

    searcher: Searcher
    query: Features
    neighbors: Neighbors

    def answer(self, config: SearchConfig) -> SearchResult:
        """Rank the database, as a `Searcher` of that configuration does; by votes where none is verified.

        Raises:
            ValueError: If it asks for more neighbors than are known.
        """
        return self._searcher(config).rank(self.query, self._nearest(config))

    def matches(self, image: int, config: SearchConfig) -> Matches:
        """Return the putative matches with one photo, which need not have been verified."""
        searcher = self._searcher(config)
        return searcher.photo_matches(self.query, searcher.pair_features(self._nearest(config)), image)

    def _searcher(self, config: SearchConfig) -> Searcher:
        return Searcher(self.searcher.database, self.searcher.index, config)

    def _nearest(self, config: SearchConfig) -> Neighbors:
        rows, distances = self.neighbors
        known, total = rows.shape[1], len(self.searcher.database.descriptors)
        if min(config.neighbors, total) > known:
            raise ValueError(
                f"{config.neighbors} neighbors asked for, {known} known: ask with most={config.neighbors}"
            )
        return rows[:, : config.neighbors], distances[:, : config.neighbors]


def ask(
    searcher: Searcher, query: Features, box: Box | None = None, *, most: int = NEIGHBORS
) -> Inquiry:
    """Find the neighbors of a query, or of the part of it that lies in a box.

    Args:
        searcher: Over the database.
        query: Features of a photo, reduced as the database is.
        box: The part, in pixels of the photo.
        most: Neighbors of each feature: as many as will ever be asked for.
    """
    query = query if box is None else query.inside(box)
    count = min(most, len(searcher.database.descriptors))
    found = searcher.index.search(query.descriptors, count)
    return Inquiry(searcher=searcher, query=query, neighbors=found)


def of_database(database: Database, names: Sequence[str]) -> dict[str, Features]:
    """Take photos of a database for queries, by their names.

    Raises:
        ValueError: If the database does not have one of them.
    """
    numbers = {name: number for number, name in enumerate(database.names)}
    if missing := [name for name in names if name not in numbers]:
        raise ValueError(
            f"the database has no photo {missing[0]!r}; expected one of its names, such as "
            f"{database.names[0]!r}, or a mapping of names to features"
        )
    return {name: database.features(numbers[name]) for name in names}


def average_precision(answer: SearchResult, truth: Truth) -> float:
    """Score a ranking against the truth, 0 to 1; NaN where there is nothing to find."""
    return float(evaluate([answer.ranking.images], [truth], ks=()).average_precision[0])
