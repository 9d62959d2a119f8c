"""Placeholder: say whether a photo shows the same place as a query, by its number of inliers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """Whether a photo shows the same place as the query."""

    label: Literal["same place", "unsure", "different"]
    text: str


def verdict_of(inliers: int) -> Verdict:
    """Return the verdict for a number of inliers."""
    if inliers >= 30:
        return Verdict("same place", "same place (98%)")
    if inliers >= 15:
        return Verdict("unsure", "unsure (50%)")
    return Verdict("different", "different (97%)")
