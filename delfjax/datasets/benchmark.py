"""Represent a benchmark: photos to search, queries, and ground truth (Sec. 5).

Each loader in `delfjax.datasets` reads the files of one publisher and returns a `Benchmark`.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike

from delfjax.files import digest
from delfjax.images.folder import Crop, PhotoFolder, prefetch
from delfjax.types import Box

Metric = Literal["trapezoidal_ap", "map_at_100"]
"""Definition of average precision: ``"trapezoidal_ap"`` of Oxford5k, or ``"map_at_100"`` of
Google-Landmarks v2. ``"map_at_100"`` scores only the first 100 results of a query."""

Relevance = Literal["correct", "wrong", "junk"]
"""Label of a search result. Junk is ignored in the scores."""

STANDARD = "standard"  # name of the protocol, if a benchmark has only one
QUERY_FOLDER = "queries"  # first part of the names of cropped queries; not a folder on disk


class DatasetError(ValueError):
    """Raised if a data set is missing or invalid."""


def invalid(
    location: object, problem: str, *, fix: str = "download the file again"
) -> DatasetError:
    """Return an error about a file of a data set. ``location`` is the path, or path and line."""
    return DatasetError(f"{location}: {problem}. Fix: {fix}")


@dataclass(frozen=True, kw_only=True)
class Query:
    """A photo, or a region of a photo, to search with.

    Attributes:
        name: Name given by the publisher, such as ``all_souls_1``. Names are unique in a benchmark.
        photo: Path of the photo, relative to the root folder of the benchmark.
        box: Region of the photo, in pixels. None: the whole photo.
    """

    name: str
    photo: str
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of one query: its correct photos and its junk photos (Sec. 5).

    A photo is given by its index in ``Benchmark.database``, from 0. Junk photos are neither correct nor
    wrong: they are removed from a ranking before the ranking is scored. Junk photos of Oxford5k hardly
    show the landmark. In the revisited data sets, the protocol ``easy`` also treats hard photos as
    junk, and vice versa. In Holidays and labeled folders, the photo of the query is junk.

    Attributes:
        positives: Indices of the correct photos.
        junk: Indices of the junk photos.

    Raises:
        ValueError: If an index is negative, not an integer, or occurs twice in both arrays together.
    """

    positives: Int[np.ndarray, " p"]
    junk: Int[np.ndarray, " j"] = field(default_factory=lambda: np.empty(0, int))

    def __post_init__(self) -> None:
        check_photo_numbers("positives and junk", np.concatenate([self.positives, self.junk]))

    def is_scored(self, ranking: Int[np.ndarray, " r"]) -> Bool[np.ndarray, " r"]:
        """Return a mask of a ranking: False for junk photos, which do not count in the scores."""
        return ~np.isin(ranking, self.junk)


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A database of photos, queries, and the ground truth of each query.

    Attributes:
        name: Name of the benchmark, such as ``oxford5k``.
        root: Folder to which all photo paths are relative.
        database: Paths of the photos to search. The index of a photo is its position, from 0.
        queries: Queries with ground truth.
        truths: Dict from protocol to one `Truth` per query, in the order of ``queries``. A protocol
            is a rule for which photos are correct, such as ``"easy"``.
        distractor_queries: Queries without a correct photo in the database (Sec. 5, Eq. 4).
        distractor_count: Number of distractors: photos that are correct for no query. The
            distractors are the last photos of the database.
        metric: Definition of average precision.
        checksums: Path of a file with the checksums of all photos. None: there is no such file.

    Raises:
        DatasetError: If a photo or query is listed twice, or the number of truths of a protocol
            differs from the number of queries.
    """

    name: str
    root: Path
    database: tuple[str, ...]
    queries: tuple[Query, ...]
    truths: Mapping[str, tuple[Truth, ...]]
    distractor_queries: tuple[Query, ...] = ()
    distractor_count: int = 0
    metric: Metric = "trapezoidal_ap"
    checksums: Path | None = None

    def __post_init__(self) -> None:
        names = [query.name for query in self.all_queries]
        for what, listed in (("database photo", self.database), ("query", names)):
            if len(set(listed)) < len(listed):
                duplicate = Counter(listed).most_common(1)[0][0]
                raise DatasetError(
                    f"{self.name}: {what} {duplicate!r} is listed twice. Fix: remove one entry"
                )
        for protocol, truths in self.truths.items():
            if len(truths) != len(self.queries):
                raise DatasetError(
                    f"{self.name}: protocol {protocol!r} has {len(truths)} truths for "
                    f"{len(self.queries)} queries. Fix: pass one Truth for each query"
                )

    @property
    def all_queries(self) -> tuple[Query, ...]:
        """All queries: first ``queries``, then ``distractor_queries``."""
        return self.queries + self.distractor_queries

    @property
    def default_protocol(self) -> str:
        """Name of the first protocol in ``truths``. Evaluation uses this protocol by default."""
        return next(iter(self.truths))

    @property
    def base_photos(self) -> PhotoFolder:
        """Photos of the database that are not distractors."""
        return PhotoFolder(root=self.root, names=self.database[: self._base_count])

    @property
    def distractor_photos(self) -> PhotoFolder:
        """Photos of the database that are distractors."""
        return PhotoFolder(root=self.root, names=self.database[self._base_count :])

    @property
    def _base_count(self) -> int:
        return len(self.database) - self.distractor_count

    @cached_property
    def query_photos(self) -> PhotoFolder:
        """Photos of all queries, cropped to the boxes, in the order of `all_queries`.

        A cropped photo has the name ``queries/NAME``, where ``NAME`` is the name of the query. The
        name of a whole photo is its path.
        """
        names, crops = [], {}
        for query in self.all_queries:
            name = query.photo
            if query.box is not None:
                name = f"{QUERY_FOLDER}/{query.name}"
                crops[name] = Crop(query.photo, query.box)
            names.append(name)
        return PhotoFolder(root=self.root, names=tuple(names), crops=crops)

    @cached_property
    def own_photos(self) -> dict[int, int]:
        """Dict from query number to database index of its photo, if the photo is in the database."""
        images = {name: image for image, name in enumerate(self.database)}
        photos = enumerate(query.photo for query in self.all_queries)
        return {row: images[photo] for row, photo in photos if photo in images}

    @cached_property
    def landmarks(self) -> list[int]:
        """Landmark number of each of the ``queries``, from 0. Not in the paper.

        Queries that share a photo show the same landmark, directly or through other queries. The
        photos of a query are its own photo and the photos that are correct under any protocol.
        """
        from scipy.sparse import coo_array  # slow imports
        from scipy.sparse.csgraph import connected_components

        queries, size = len(self.queries), len(self.queries) + len(self.database)
        own = self.own_photos.items()
        pairs = [(row, queries + photo) for row, photo in own if row < queries]
        for truths in self.truths.values():
            for row, truth in enumerate(truths):
                pairs += [(row, queries + photo) for photo in truth.positives.tolist()]
        edges = np.array(pairs, int).reshape(-1, 2).T
        graph = coo_array((np.ones(len(pairs)), (edges[0], edges[1])), shape=(size, size))
        components = connected_components(graph, directed=False)[1][:queries]
        found: list[int] = np.unique(components, return_inverse=True)[1].tolist()
        return found

    @cached_property
    def photos_sha256(self) -> str:
        """SHA-256 of the photos without distractors, or of the file ``checksums`` if there is one."""
        if self.checksums is not None:
            return digest(self.checksums.read_bytes())
        queries = (query.photo for query in self.all_queries)
        names = list(dict.fromkeys((*self.base_photos.names, *queries)))
        sources = prefetch(self.base_photos.source, names)
        contents = [source.sha256 if source else "missing" for source in sources]
        return digest(
            "\n".join(f"{name} {content}" for name, content in zip(names, contents, strict=True))
        )

    def drop_photos(self, names: Container[str]) -> "Benchmark":
        """Return a copy of the benchmark without some photos, such as unreadable photos.

        ``names`` are names of photos in `base_photos`, `distractor_photos` or `query_photos`. Queries
        whose photo is dropped are dropped, too. The ground truth gets the new photo indices.
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


def relevance(truth: Truth, image: int) -> Relevance:
    """Return the label of a photo for one query. ``image`` is the index of the photo in the database."""
    if not truth.is_scored(np.array([image])).all():
        return "junk"
    return "correct" if image in truth.positives else "wrong"


def check_photo_numbers(what: str, numbers: ArrayLike) -> Int[np.ndarray, " _"]:
    """Check a flat list of photo indices, and return it as an array of integers.

    Raises:
        ValueError: If the list is nested, or a value is not an integer, is negative, or occurs twice.
            ``what`` describes the indices in the message.
    """
    found = np.asarray(numbers, None if np.size(numbers) else int)  # an empty list becomes floats
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or (found < 0).any():
        raise ValueError(
            f"{what}: {found!r}; expected a flat list of photo indices: integers from 0"
        )
    unique, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{what}: {unique[counts > 1]} occur more than once; expected each number once"
        )
    return found.astype(np.int64)
