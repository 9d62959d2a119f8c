"""Figures of a ranking as it comes about: PCA, neighbors, votes, inliers, and pages of results (Secs. 4.3, 4.4).

As in `plots`, functions take arrays and records and return a figure.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from matplotlib.ticker import LogLocator

from delfjax.datasets.truth import Relevance, Truth, relevance
from delfjax.plots.base import COLORS, NEUTRAL, Figure, subplots, draw_photo
from delfjax.plots.match_images import GRADE_MARKS, QUALITY
from delfjax.plots.thumbnails import Card, RgbImage, sheet, thumbnail
from delfjax.types import Photo, Ranking

ANGLES = (0, 15, 30, 45, 60, 90, 180)  # degrees: edges of the bins of `found_by_angle`
WIDTH = 7.2  # inches, of figures with several panels
SIDE = 160  # pixels: width of a card, small so that its text is large beside the photo
FAINT = 0.25  # opacity of what is only context
WORDS: dict[Relevance, str] = {"correct": "correct", "wrong": "wrong", "junk": "junk, not counted"}


def spectra(variances: Mapping[str, Float[np.ndarray, " _"]], kept: int) -> Figure:
    """Draw the share of the variance that the first axes of a PCA explain, against their number.

    Args:
        variances: Of all axes of each PCA, largest first, by its name.
        kept: Axes that the descriptors keep; the shares at this number are written beside the curves.
    """
    figure, axes = subplots(5.8, 2.9)
    ax = axes[0, 0]
    for (name, each), color in zip(variances.items(), COLORS, strict=False):
        explained = 100 * np.cumsum(each) / each.sum()
        label = f"{name}: {explained[kept - 1]:.0f} % by {kept} axes"
        ax.plot(np.arange(1, len(each) + 1), explained, color=color, label=label)
        ax.plot(kept, explained[kept - 1], "o", color=color, markersize=5)
    ax.axvline(kept, color=NEUTRAL, linewidth=1, linestyle="--", zorder=0)
    ax.set(xscale="log", ylim=(0, 102), xlabel="axes of the PCA", ylabel="variance explained, %")
    ticks = [2**n for n in range(0, 11, 2)]
    ax.set_xticks([*ticks, kept], labels=map(str, [*ticks, kept]))
    ax.minorticks_off()
    ax.grid(alpha=FAINT, linewidth=0.6)
    ax.legend(loc="lower right", frameon=False)
    return figure


def recall_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw what an approximate search finds against the time that it takes.

    Less effort cannot take longer: where it was measured so, another process had the processor, and the time
    of the next effort stands in its place.

    Args:
        curves: By name: ``(time, recall)`` of each setting, least effort first; time as a share of exact
            search's, recall 0 to 1.
    """
    figure, axes = subplots(5.8, 2.9)
    ax = axes[0, 0]
    for (name, points), color in zip(curves.items(), COLORS, strict=False):
        times, recalls = np.transpose(points)
        times = np.minimum.accumulate(times[::-1])[::-1]
        ax.plot(times, 100 * recalls, color=color, marker="o", markersize=4, label=name)
    ax.axvline(1, color=NEUTRAL, linewidth=1, linestyle="--", zorder=0)
    at = {"xytext": (-4, 4), "textcoords": "offset points", "color": NEUTRAL, "fontsize": 8}
    ax.annotate("exact search", (1, ax.get_ylim()[0]), ha="right", **at)
    ax.set(xscale="log", xlabel="time, as a multiple of exact search's (log scale)")
    ax.set_ylabel("true neighbors found, %")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.grid(alpha=FAINT, linewidth=0.6)
    ax.legend(loc="lower right", bbox_to_anchor=(0.97, 0.1), frameon=False)
    return figure


def bars(
    panels: Mapping[str, Int[np.ndarray, " b"]], grades: Mapping[str, Sequence[Relevance]]
) -> Figure:
    """Draw rankings as bars, best first: what each photo is ranked by, colored by whether it is right.

    Args:
        panels: Votes or inliers of the first photos, by what they are.
        grades: What each of those photos is, by the same names.
    """
    figure, axes = subplots(WIDTH, 1.6 * len(panels) + 0.3, len(panels), 1)
    for ax, (name, counts) in zip(axes[:, 0], panels.items(), strict=True):
        for kind, (mark, color) in GRADE_MARKS.items():
            mine = np.flatnonzero([each == kind for each in grades[name]])
            if len(mine):
                label = f"{mark} {WORDS[kind]}"
                ax.bar(mine + 1, counts[mine], color=color, width=0.82, label=label)
        ax.set(ylabel=name, xlim=(0.3, len(counts) + 0.7))
    ax.set_xlabel("rank")
    axes[0, 0].legend(loc="upper right", ncols=len(GRADE_MARKS), frameon=False)
    return figure


def inlier_counts(counts: Mapping[Relevance, Int[np.ndarray, " _"]]) -> Figure:
    """Draw how many inliers results have, right ones up and wrong ones down, as shares of their kind.

    Args:
        counts: Inliers of the verified results of all queries, by what these are.
    """
    figure, axes = subplots(5.8, 2.9)
    ax = axes[0, 0]
    most = max(int(each.max()) for each in counts.values())
    edges = np.arange(0, most + 6, 4)
    for (kind, each), sign in zip(counts.items(), (1, -1), strict=False):
        shares = 100 * np.histogram(each, edges)[0] / len(each)
        label = (
            f"{GRADE_MARKS[kind][0]} {WORDS[kind]}: {len(each):,} results, median {np.median(each):.0f}"
        )
        ax.bar(
            edges[:-1], sign * shares, width=3.7, align="edge", color=GRADE_MARKS[kind][1], label=label
        )
    ax.axhline(0, color="black", linewidth=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.set(xlabel="RANSAC inliers", ylabel="share of the results, %")
    ax.legend(loc="lower right", frameon=False)
    return figure


def found_by_angle(
    angles: Float[np.ndarray, " p"],
    found: Bool[np.ndarray, " p"],
    groups: Shaped[np.ndarray, " p"],
) -> Figure:
    """Draw which share of the right photos is found, by the angle between the two cameras.

    Args:
        angles: Degrees, 0 to 180, between query and right photo, seen from the landmark.
        found: Whether that photo was.
        groups: A word for each such pair, drawn apart.
    """
    figure, axes = subplots(5.8, 2.8)
    ax, names = axes[0, 0], np.unique(groups)
    places, width = np.arange(len(ANGLES) - 1), 0.8 / len(names)
    for number, (name, color) in enumerate(zip(names, COLORS, strict=False)):
        mine = groups == name
        every = np.histogram(angles[mine], ANGLES)[0]
        shares = 100 * np.histogram(angles[mine & found], ANGLES)[0] / np.maximum(every, 1)
        left = places - 0.4 + (number + 0.5) * width
        ax.bar(left, shares, width=0.92 * width, color=color, label=name)
        for x, share, count in zip(left, shares, every, strict=True):
            ax.text(x, share + 1, f"of {count}", ha="center", fontsize=6.5, color=NEUTRAL)
    ax.set_xticks(places, [f"{a} to {b}°" for a, b in pairwise(ANGLES)])
    ax.set(ylim=(0, 108), xlabel="angle between the two cameras", ylabel="right photos found, %")
    figure.legend(loc="outside upper right", ncols=len(names), fontsize=8, frameon=False)
    return figure


def result_cards(
    ranking: Ranking,
    truth: Truth,
    load: Callable[[int], Photo],
    places: Sequence[int],
) -> list[Card]:
    """Make cards of some results: rank, whether it is right, and what it is ranked by.

    That is inliers, votes in brackets where it was not verified, or the similarity of global descriptors.

    Args:
        ranking: What was found.
        truth: What should be.
        load: Reads a database photo by its number.
        places: In the ranking, from 0.
    """
    cards = []
    for place in places:
        image = int(ranking.images[place])
        mark, color = GRADE_MARKS[relevance(truth, image)]
        line = f"{place + 1} {mark} {_ranked_by(ranking, place)}"
        cards.append(Card(photo=thumbnail(load(image), SIDE), lines=(line,), color=color))
    return cards


def _ranked_by(ranking: Ranking, place: int) -> str:
    if ranking.scores is not None:
        return f"{ranking.scores[place]:.2f}"
    inliers = ranking.inliers[place]
    return f"{inliers}" if inliers >= 0 else f"({ranking.votes[place]})"


def query_card(photo: Photo, *lines: str) -> Card:
    """Make the card of a query, to stand before its results."""
    return Card(photo=thumbnail(photo, SIDE), lines=lines)


def pages(rows: Sequence[tuple[str, Sequence[Card]]], *, width: float = 6.4) -> Figure:
    """Draw ranked results, a titled row for each ranking.

    Args:
        rows: Title and cards; as many cards in each row, with as many lines.
        width: In inches.
    """
    sheets = [(title, sheet(cards, columns=len(cards), side=SIDE)) for title, cards in rows]
    return stacked(sheets, columns=1, width=width)


def stacked(
    pictures: Sequence[tuple[str, RgbImage]], *, columns: int, width: float = WIDTH
) -> Figure:
    """Draw pictures of any size in rows, each under its title.

    Args:
        pictures: Title and picture.
        columns: Pictures a row.
        width: In inches, of all columns.
    """
    shapes = [picture.shape[0] / picture.shape[1] for _, picture in pictures]
    inches = [
        width / columns * max(shapes[first : first + columns])
        for first in range(0, len(shapes), columns)
    ]
    height = sum(inches) + 0.26 * len(inches)
    figure, axes = subplots(width, height, len(inches), columns, height_ratios=inches)
    figure.quality = QUALITY
    figure.get_layout_engine().set(wspace=0.04)
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, (title, picture) in zip(axes.ravel(), pictures, strict=False):
        draw_photo(ax, picture, title)
    return figure
