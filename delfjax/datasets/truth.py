"""Ground truth of a query: the correct database photos and the junk photos (Sec. 5).

Junk photos count neither as correct nor as wrong; they are removed from a ranking before it is
scored. Each benchmark defines the two sets differently. Photos are given by their number: the position
in ``Benchmark.database``, from 0.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

Relevance = Literal["correct", "wrong", "junk"]
"""Judgement of one search result. Junk: not scored, for example because the landmark is hidden."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of one query.

    Attributes:
        positives: Numbers of the correct photos.
        junk: Numbers of the photos to ignore. They may be missing from the database.

    Raises:
        ValueError: A photo is listed twice, within one set or in both.
    """

    positives: Int[np.ndarray, " p"]
    junk: Int[np.ndarray, " j"] = field(default_factory=lambda: np.empty(0, int))

    def __post_init__(self) -> None:
        check_photo_numbers("positives and junk", np.concatenate([self.positives, self.junk]))


def relevance(truth: Truth, image: int) -> Relevance:
    """Return whether the photo with this number is correct, wrong or junk."""
    if image in truth.junk:
        return "junk"
    return "correct" if image in truth.positives else "wrong"


def check_photo_numbers(what: str, numbers: ArrayLike) -> Int[np.ndarray, " _"]:
    """Return photo numbers as a flat array of integers.

    Args:
        what: Description of the numbers, for the error message.
        numbers: The numbers.

    Raises:
        ValueError: A value is not an integer from 0, or a number occurs twice.
    """
    found = np.asarray(numbers, None if np.size(numbers) else int)  # an empty list becomes floats
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or (found < 0).any():
        raise ValueError(f"{what}: {found!r}; expected a flat list of integers from 0")
    unique, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what}: {unique[counts > 1]} listed twice; expected each photo once")
    return found.astype(np.int64)
