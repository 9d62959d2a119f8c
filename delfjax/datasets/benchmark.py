"""What every benchmark is, behind one door: photos, queries with boxes, and the truth (Sec. 5).

Oxford5k and Google-Landmarks differ in their files, not in what they are. A loader reads its
publisher's files and returns a `Benchmark`; evaluation, tables and notebooks know nothing else.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from delfjax.metrics import Truth
from delfjax.photos import Box, Crop, PhotoFolder

Measure = Literal["trapezoid", "at_100"]
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
        queries: What is asked.
        truths: For each protocol, what each query should find, in the order of the queries.
        strangers: Distractor queries: nothing in the database is correct (the paper's Sec. 5, Eq. 4).
        measure: How rankings are scored.
    """

    name: str
    root: Path
    database: tuple[str, ...]
    queries: tuple[Query, ...]
    truths: Mapping[str, tuple[Truth, ...]]
    strangers: tuple[Query, ...] = ()
    measure: Measure = "trapezoid"

    def __post_init__(self) -> None:
        names = [query.name for query in self.asked]
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
    def asked(self) -> tuple[Query, ...]:
        """Queries, then distractor queries."""
        return self.queries + self.strangers

    @property
    def photos(self) -> PhotoFolder:
        """The database's photos."""
        return PhotoFolder(root=self.root, names=self.database)

    @cached_property
    def query_photos(self) -> PhotoFolder:
        """The queries as photos, in the order of `asked`: whole ones by their path, parts as crops."""
        crops = {
            f"{QUERY_FOLDER}/{query.name}": Crop(query.photo, query.box)
            for query in self.asked
            if query.box is not None
        }
        names = tuple(
            query.photo if query.box is None else f"{QUERY_FOLDER}/{query.name}"
            for query in self.asked
        )
        return PhotoFolder(root=self.root, names=names, crops=crops)
