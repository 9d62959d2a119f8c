"""What a query should find: positives, junk, and the protocols that define them (Sec. 5)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

RevisitedProtocol = Literal["easy", "medium", "hard"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What a query should find: photos that are correct, and junk, neither correct nor wrong.

    Both are database photo numbers; junk need not be in the database. A photo that is listed twice,
    or as both, is an error.
    """

    positives: Int[np.ndarray, " p"]
    junk: Int[np.ndarray, " j"]

    def __post_init__(self) -> None:
        join_photo_numbers("positives and junk", self.positives, self.junk)


def oxford_truth(good: ArrayLike, ok: ArrayLike, junk: ArrayLike) -> Truth:
    """Make the truth of an Oxford5k or Paris6k query: good (with the query itself) and ok count."""
    return Truth(join_photo_numbers("good and ok", good, ok), join_photo_numbers("junk", junk))


def holidays_truth(query: int, positives: ArrayLike) -> Truth:
    """Make the truth of a Holidays query: the query photo is junk, wherever it is ranked."""
    return Truth(join_photo_numbers("positives", positives), np.array([query]))


def revisited_truth(
    easy: ArrayLike, hard: ArrayLike, junk: ArrayLike, protocol: RevisitedProtocol
) -> Truth:
    """Make the truth of an ROxford or RParis query (Radenovic et al., CVPR 2018).

    Easy and Hard seek one kind of positive and take the other for junk; Medium seeks both. Photo
    numbers count from 0, unlike those in the published ``.mat`` files.
    """
    match protocol:
        case "easy":
            return Truth(join_photo_numbers("easy", easy), join_photo_numbers("junk and hard", junk, hard))
        case "medium":
            return Truth(join_photo_numbers("easy and hard", easy, hard), join_photo_numbers("junk", junk))
        case "hard":
            return Truth(join_photo_numbers("hard", hard), join_photo_numbers("junk and easy", junk, easy))
    raise ValueError(f"protocol {protocol!r}: expected 'easy', 'medium' or 'hard'")


Relevance = Literal["correct", "wrong", "junk"]
"""What a result is: correct, not correct, or neither, as where too little of the landmark is seen."""


def relevance(truth: Truth, image: int) -> Relevance:
    """Say what a photo is, as a result."""
    if image in truth.junk:
        return "junk"
    return "correct" if image in truth.positives else "wrong"


def join_photo_numbers(what: str, *groups: ArrayLike) -> Int[np.ndarray, " _"]:
    """Return the photo numbers of the groups in one array; check that they are, and none twice."""
    # NumPy makes floats of an empty list.
    ids = np.concatenate([np.asarray(group, None if np.size(group) else int) for group in groups])
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer) or (ids < 0).any():
        raise ValueError(f"{what}: {ids!r} should be a flat list of integers from 0")
    numbers, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what}: {numbers[counts > 1]} listed twice, should be listed once")
    return ids.astype(np.int64)
