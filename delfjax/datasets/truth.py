"""Ground truth of a query: the correct database photos and the junk photos (Sec. 5).

Junk photos count neither as correct nor as wrong; they are removed from a ranking before it is
scored. Each benchmark defines the two sets differently. One function per benchmark makes a `Truth`.
Photos are given by their number: the position in ``Benchmark.database``, from 0.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

RevisitedProtocol = Literal["easy", "medium", "hard"]
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
    junk: Int[np.ndarray, " j"]

    def __post_init__(self) -> None:
        join_photo_numbers("positives and junk", self.positives, self.junk)


def oxford_truth(good: ArrayLike, ok: ArrayLike, junk: ArrayLike) -> Truth:
    """Return the truth of an Oxford5k or Paris6k query: good and ok photos are positives."""
    return Truth(join_photo_numbers("good and ok", good, ok), join_photo_numbers("junk", junk))


def holidays_truth(query: int, positives: ArrayLike) -> Truth:
    """Return the truth of a Holidays query: the query's own photo is junk.

    Args:
        query: Number of the query photo, which is part of the database.
        positives: Numbers of the other photos of its scene.
    """
    return Truth(join_photo_numbers("positives", positives), np.array([query]))


def revisited_truth(
    easy: ArrayLike, hard: ArrayLike, junk: ArrayLike, protocol: RevisitedProtocol
) -> Truth:
    """Return the truth of an ROxford or RParis query (Radenovic et al., CVPR 2018).

    Args:
        easy: Numbers of photos that show the landmark clearly, from 0.
        hard: Numbers of photos that show it poorly.
        junk: Numbers of photos that show too little of it.
        protocol: ``"easy"`` and ``"hard"`` take one kind as positives and the other as junk;
            ``"medium"`` takes both as positives.
    """
    match protocol:
        case "easy":
            positives, ignored = {"easy": easy}, {"junk": junk, "hard": hard}
        case "medium":
            positives, ignored = {"easy": easy, "hard": hard}, {"junk": junk}
        case "hard":
            positives, ignored = {"hard": hard}, {"junk": junk, "easy": easy}
        case _:
            raise ValueError(f"protocol {protocol!r}: expected 'easy', 'medium' or 'hard'")
    kinds = (positives, ignored)
    return Truth(*(join_photo_numbers(" and ".join(kind), *kind.values()) for kind in kinds))


def relevance(truth: Truth, image: int) -> Relevance:
    """Return whether a result is correct, wrong or junk.

    Args:
        truth: Ground truth of the query.
        image: Number of the result's photo.
    """
    if image in truth.junk:
        return "junk"
    return "correct" if image in truth.positives else "wrong"


def join_photo_numbers(what: str, *groups: ArrayLike) -> Int[np.ndarray, " _"]:
    """Join groups of photo numbers into one array and check them.

    Args:
        what: Description of the groups, for the error message.
        *groups: Flat lists or arrays of integers from 0.

    Raises:
        ValueError: A value is not an integer from 0, or a number occurs twice.
    """
    # NumPy turns an empty list into floats.
    joined = np.concatenate([np.asarray(g, None if np.size(g) else int) for g in groups])
    if joined.ndim != 1 or not np.issubdtype(joined.dtype, np.integer) or (joined < 0).any():
        raise ValueError(f"{what}: {joined!r}; expected a flat list of integers from 0")
    numbers, counts = np.unique(joined, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what}: {numbers[counts > 1]} listed twice; expected each photo once")
    return joined.astype(np.int64)
