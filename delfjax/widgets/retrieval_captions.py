"""What the retrieval explorer says beside its pictures: names, numbers and what they mean."""

import html
from math import inf, isnan
from pathlib import PurePosixPath

from delfjax.datasets.truth import Relevance
from delfjax.plots.match_images import GRADE_MARKS
from delfjax.search.searcher import SearchConfig
from delfjax.types import Ranking

GUIDE = "Drag a box to search only by what is in it; a click lets it go."
SLOW = 1.0  # seconds: an answer that took longer had to be compiled


def stem(name: str) -> str:
    """Shorten a photo's name to what tells it apart."""
    return PurePosixPath(name).stem


def query(name: str, total: int, used: int | None) -> str:
    """Name the query, and say by which of its features is searched.

    Args:
        name: Of the query.
        total: Features that the query has.
        used: How many lie in the box; None: there is no box.
    """
    part = _count(total, "feature") if used is None else f"{used} of {_count(total, 'feature')}"
    return _block(f"<b>{html.escape(stem(name))}</b>, {part}. {GUIDE}")


def card(ranking: Ranking, place: int, name: str, grade: Relevance | None) -> tuple[str, str]:
    """Give the lines below a result: rank and name; grade, and what it is ranked by."""
    inliers, votes = int(ranking.inliers[place]), int(ranking.votes[place])
    found = _count(votes, "vote") if inliers < 0 else _count(inliers, "inlier")
    marked = found if grade is None else f"{GRADE_MARKS[grade][0]} {grade}, {found}"
    return f"{place + 1}  {stem(name)}", marked


def summary(ranking: Ranking, photos: int, seconds: float, precision: float | None) -> str:
    """Tell how much was found, how fast, and how good the ranking is.

    Args:
        ranking: What was found.
        photos: In the database.
        seconds: That the answer took.
        precision: Average precision, 0 to 1; None where no truth is known, NaN where there is nothing to find.
    """
    if not len(ranking):
        return _block("No photo has a vote: allow a greater distance, or drag a larger box.")
    verified = int((ranking.inliers >= 0).sum())
    said = [
        f"<b>{len(ranking):,} of {_count(photos, 'photo')} have votes</b>",
        f"{verified} verified" if verified else "ranked by votes alone",
        f"answered in {1000 * seconds:,.0f} ms",
    ]
    if seconds > SLOW:
        said[-1] += ", most of it compilation, once for a size"
    if precision is not None and not isnan(precision):
        said.append(f"average precision {precision:.1%}")
    return _block(" · ".join(said), role="status")


def pair(query: str, result: str, place: int, putative: int, inliers: int | None) -> str:
    """Say whose matches are shown, and how many of them agree.

    Args:
        query: Its name.
        result: Its name.
        place: Its place in the ranking, from 0.
        putative: Matches before verification.
        inliers: Those that RANSAC kept; None: it was not asked.
    """
    kept = "not verified" if inliers is None else f"{_count(inliers, 'inlier')} (bright)"
    return (
        f"{stem(query)} and result {place + 1}, {stem(result)}: {putative} putative matches, {kept}"
    )


def settings(config: SearchConfig, *, boxed: bool) -> str:
    """Say how the query was answered."""
    asked = "a part of the query" if boxed else "the query"
    limit = "" if config.max_distance == inf else f" within {config.max_distance:.2f}"
    order = f"the {config.verified} with most votes verified" if config.verified else "by votes"
    return f"{asked}, {_count(config.neighbors, 'neighbor')}{limit} a feature, {order}"


def legend() -> str:
    """Explain the colors of the results."""
    parts = [
        f'<span style="border-bottom:4px solid {color};margin-right:1.5em">{mark} {grade}</span>'
        for grade, (mark, color) in GRADE_MARKS.items()
    ]
    return _block("".join(parts))


def waiting() -> str:
    """Say that an answer takes longer than others, and why."""
    return _block("Searching … the first search of its size compiles its programs.", role="status")


def _block(content: str, role: str = "note") -> str:
    return f'<div role="{role}" style="line-height:1.5">{content}</div>'


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
