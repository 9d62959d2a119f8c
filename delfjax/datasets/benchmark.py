"""What every benchmark is, behind one door: photos, queries with boxes, and the truth (Sec. 5).

Oxford5k and Google-Landmarks differ in their files, not in what they are. A loader reads its
publisher's files and returns a `Benchmark`; evaluation, tables and notebooks know nothing else.
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
from delfjax.images.reading import Box, Crop, PhotoFolder

Metric = Literal["trapezoidal_ap", "map_at_100"]
"""How a ranking becomes a number: `metrics.average_precision`, or Google-Landmarks' mAP@100."""

STANDARD = "standard"  # the protocol of a benchmark that has only one
QUERY_FOLDER = "queries"  # names of cropped queries begin with it: no file lies there


class DatasetError(ValueError):
    """A data set that cannot be read: which file, what is wrong with it, and the mend."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """One question to the database.

    Attributes:
        name: What its publisher calls it, such as ``all_souls_1``; none twice in a benchmark.
        photo: The photo it is cut from, relative to the benchmark's folder.
        box: The part of the photo that is asked for; None: all of it.
    """

    name: str
    photo: str
    box: Box | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """Photos, queries and truth.

    Attributes:
        name: Of the data set, such as ``oxford5k``.
        root: Its folder.
        database: Photos to search, relative to the folder. Their order gives them their numbers.
        distractor_count: How many of these, at the end, were added to make the search harder.
        queries: What is asked.
        truths: For each protocol, what each query should find, in the order of the queries.
        distractor queries: Distractor queries: nothing in the database is correct (the paper's Sec. 5, Eq. 4).
        metric: How rankings are scored.
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
                twice = Counter(listed).most_common(1)[0][0]
                raise DatasetError(f"{self.name}: {what} {twice!r} is listed twice")
        for protocol, truths in self.truths.items():
            if len(truths) != len(self.queries):
                raise DatasetError(
                    f"{self.name}, {protocol}: {len(truths)} truths for {len(self.queries)} queries"
                )

    @property
    def all_queries(self) -> tuple[Query, ...]:
        """Queries, then distractor queries."""
        return self.queries + self.distractor_queries

    @property
    def default_protocol(self) -> str:
        """The first protocol: the one that is meant where none is named."""
        return next(iter(self.truths))

    @property
    def base_photos(self) -> PhotoFolder:
        """The database's photos without the distractors."""
        return PhotoFolder(root=self.root, names=self.database[: self._base])

    @property
    def distractor_photos(self) -> PhotoFolder:
        """The database's distractors."""
        return PhotoFolder(root=self.root, names=self.database[self._base :])

    @property
    def _base(self) -> int:
        return len(self.database) - self.distractor_count

    @cached_property
    def query_photos(self) -> PhotoFolder:
        """The queries as photos, in the order of `asked`: whole ones by their path, parts as crops."""
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

    def drop_photos(self, broken: Container[str]) -> "Benchmark":
        """Leave out photos that cannot be read, by the names that `base_photos` and its like give.

        The others are numbered anew, and truths follow.
        """
        kept = [name not in broken for name in self.database]
        asked = [name not in broken for name in self.query_photos.names]
        if all(kept) and all(asked):
            return self
        numbers, stay = np.cumsum(kept) - 1, np.array(kept)
        first = len(self.queries)
        return replace(
            self,
            database=tuple(compress(self.database, kept)),
            distractor_count=sum(kept[self._base :]),
            queries=tuple(compress(self.queries, asked)),
            distractor_queries=tuple(compress(self.distractor_queries, asked[first:])),
            truths={
                protocol: tuple(
                    Truth(*(numbers[ids[stay[ids]]] for ids in (each.positives, each.junk)))
                    for each in compress(truths, asked)
                )
                for protocol, truths in self.truths.items()
            },
        )
