"""Ground truth of a query: the correct database photos and the junk photos (Sec. 5).

Junk photos are neither correct nor wrong: they are removed from a ranking before the ranking is
scored. Each data set defines its junk photos. For Oxford5k, the landmark is hardly visible in them.
For the revisited data sets, hard photos are also junk in the protocol ``easy``, and vice versa. For
Holidays and for folders with classes, the query itself is junk. A photo is given by its index in
``Benchmark.database``, from 0.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike

Relevance = Literal["correct", "wrong", "junk"]
"""Label of a search result. Junk is ignored in the scores."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of one query.

    Attributes:
        positives: Indices of the correct photos.
        junk: Indices of the photos to ignore. They do not have to occur in a ranking.

    Raises:
        ValueError: An index is negative, not an integer, or occurs twice, in one array or in both.
    """

    positives: Int[np.ndarray, " p"]
    junk: Int[np.ndarray, " j"] = field(default_factory=lambda: np.empty(0, int))

    def __post_init__(self) -> None:
        check_photo_numbers("positives and junk", np.concatenate([self.positives, self.junk]))

    def is_scored(self, ranking: Int[np.ndarray, " r"]) -> Bool[np.ndarray, " r"]:
        """Return which photos of a ranking count in the scores: all but junk."""
        return ~np.isin(ranking, self.junk)


def relevance(truth: Truth, image: int) -> Relevance:
    """Return the label of a photo for one query. ``image`` is the index of the photo in the database."""
    if not truth.is_scored(np.array([image])).all():
        return "junk"
    return "correct" if image in truth.positives else "wrong"


def check_photo_numbers(what: str, numbers: ArrayLike) -> Int[np.ndarray, " _"]:
    """Check a flat list of photo indices, and return it as an array of integers.

    Raises:
        ValueError: The list is nested, or a value is not an integer, is negative, or occurs twice.
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
