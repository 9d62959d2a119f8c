"""The common form of every benchmark: photos to search, queries, and ground truth (Sec. 5).

The loaders of this package read the files of a publisher and return a `Benchmark`. Evaluation,
tables and notebooks depend only on this class.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Literal

import numpy as np

from delfjax.datasets.truth import Truth
from delfjax.images.reading import Crop, PhotoFolder
from delfjax.types import Box

Metric = Literal["trapezoidal_ap", "map_at_100"]
"""How to score a ranking: the average precision of Oxford5k, or that of Google-Landmarks v2."""

STANDARD = "standard"  # name of the protocol of a benchmark that has only one
QUERY_FOLDER = "queries"  # names of cropped queries begin with it; no such folder exists on disk


class DatasetError(ValueError):
    """Raised when a data set cannot be read; the message names the file and the fix."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query photo, or a region of one.

    Attributes:
        name: Name that the publisher gives it, such as ``all_souls_1``; unique in a benchmark.
        photo: Path of the photo, relative to the root folder of the benchmark.
        box: Region of the photo to search with, in pixels. None: the whole photo.
    """

    name: str
    photo: str
    box: Box | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A database of photos, queries, and the ground truth of each query.

    Attributes:
        name: Name of the benchmark, such as ``oxford5k``.
        root: Folder that all photo paths are relative to.
        database: Paths of the photos to search. The position in this tuple is the photo's number.
        queries: Queries that have ground truth.
        truths: Ground truth of each query, in the order of ``queries``, for each protocol.
        distractor_queries: Queries for which the database holds no correct photo (Sec. 5, Eq. 4).
        distractor_count: Number of distractors: photos at the end of the database that only make
            the search harder.
        metric: How to score a ranking.

    Raises:
        DatasetError: A photo or query is listed twice, or a protocol does not have exactly one truth
            per query.
    """

    name: str
    root: Path
    database: tuple[str, ...]
    queries: tuple[Query, ...]
    truths: Mapping[str, tuple[Truth, ...]]
    distractor_queries: tuple[Query, ...] = ()
    distractor_count: int = 0
    metric: Metric = "trapezoidal_ap"

    def __post_init__(self) -> None:
        names = [query.name for query in self.all_queries]
        for what, listed in (("database photo", self.database), ("query", names)):
            if len(set(listed)) < len(listed):
                duplicate = Counter(listed).most_common(1)[0][0]
                raise DatasetError(f"{self.name}: {what} {duplicate!r} is listed twice")
        for protocol, truths in self.truths.items():
            if len(truths) != len(self.queries):
                raise DatasetError(
                    f"{self.name}, {protocol}: {len(truths)} truths for {len(self.queries)} queries"
                )

    @property
    def all_queries(self) -> tuple[Query, ...]:
        """The queries, followed by the distractor queries."""
        return self.queries + self.distractor_queries

    @property
    def default_protocol(self) -> str:
        """Name of the first protocol, which is used unless another one is chosen."""
        return next(iter(self.truths))

    @property
    def base_photos(self) -> PhotoFolder:
        """Database photos without the distractors."""
        return PhotoFolder(root=self.root, names=self.database[: self._base_count])

    @property
    def distractor_photos(self) -> PhotoFolder:
        """Database photos that are distractors."""
        return PhotoFolder(root=self.root, names=self.database[self._base_count :])

    @property
    def _base_count(self) -> int:
        return len(self.database) - self.distractor_count

    @cached_property
    def query_photos(self) -> PhotoFolder:
        """All queries as photos, in the order of `all_queries`.

        A query without a box has the path of its photo as its name; a query with a box is a crop
        named ``queries/NAME``.
        """
        crops = {
            f"{QUERY_FOLDER}/{query.name}": Crop(query.photo, query.box)
            for query in self.all_queries
            if query.box is not None
        }
        names = tuple(
            query.photo if query.box is None else f"{QUERY_FOLDER}/{query.name}"
            for query in self.all_queries
        )
        return PhotoFolder(root=self.root, names=names, crops=crops)

    def drop_photos(self, names: Container[str]) -> "Benchmark":
        """Return the benchmark without some photos, for example unreadable ones.

        The remaining photos get new numbers, and the ground truth is adapted to them.

        Args:
            names: Names from `base_photos`, `distractor_photos` and `query_photos`.
        """
        keep = [name not in names for name in self.database]
        keep_query = [name not in names for name in self.query_photos.names]
        if all(keep) and all(keep_query):
            return self
        new_numbers, kept = np.cumsum(keep) - 1, np.array(keep)

        def renumber(truth: Truth) -> Truth:
            old = (truth.positives, truth.junk)
            return Truth(*(new_numbers[numbers[kept[numbers]]] for numbers in old))

        return replace(
            self,
            database=tuple(compress(self.database, keep)),
            distractor_count=sum(keep[self._base_count :]),
            queries=tuple(compress(self.queries, keep_query)),
            distractor_queries=tuple(
                compress(self.distractor_queries, keep_query[len(self.queries) :])
            ),
            truths={
                protocol: tuple(map(renumber, compress(truths, keep_query)))
                for protocol, truths in self.truths.items()
            },
        )
