"""Figures of retrieval: ranked results, and recall (Secs. 4.4 and 5)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Shaped
from matplotlib.ticker import LogLocator

from delfjax.datasets.truth import Truth, relevance
from delfjax.plots.base import COLORS, NEUTRAL, Figure, RgbImage, photos, subplots
from delfjax.plots.match_images import RELEVANCE_MARKS
from delfjax.plots.thumbnails import Card, draw_cards, thumbnail
from delfjax.types import Photo, Ranking

ANGLE_EDGES = (0, 15, 30, 45, 60, 90, 180)  # degrees: bins of `recall_by_angle`
RESULT_CARD_WIDTH = 160  # pixels: narrow, so that the text is large beside the photo


def results(
    query: Photo,
    ranking: Ranking,
    load: Callable[[int], Photo],
    *,
    truth: Truth | None = None,
    count: int = 5,
    title: str = "",
) -> Figure:
    """Draw a query and its best results in a row; see `result_cards` for their captions.

    Args:
        query: The query photo.
        ranking: The ranked database photos.
        load: Function that reads a database photo by its number.
        truth: The correct photos, or None if they are not known.
        count: Number of results.
        title: Title of the figure.
    """
    found = result_cards(ranking, load, range(min(count, len(ranking))), truth)
    cards = [query_card(query, "query"), *found]
    return result_rows([(title, cards)], width=1.07 * len(cards))


def result_cards(
    ranking: Ranking,
    load: Callable[[int], Photo],
    rows: Sequence[int],
    truth: Truth | None = None,
) -> list[Card]:
    """Make cards of ranked results, captioned with rank, relevance and score.

    Relevance is correct (✓), wrong (✗) or junk (○). The score is the number of inliers, or the number of
    votes in brackets if the photo was not verified, or the similarity of global descriptors.

    Args:
        ranking: The ranked database photos.
        load: Function that reads a database photo by its number.
        rows: Rows of the ranking to show; row 0 is the best result.
        truth: The correct photos, or None if they are not known.
    """
    cards = []
    for row in rows:
        image = int(ranking.images[row])
        mark, color = ("", None) if truth is None else RELEVANCE_MARKS[relevance(truth, image)]
        line = " ".join(filter(None, (str(row + 1), mark, _score(ranking, row))))
        photo = thumbnail(load(image), RESULT_CARD_WIDTH)
        cards.append(Card(photo=photo, lines=(line,), color=color))
    return cards


def query_card(photo: Photo, *lines: str) -> Card:
    """Make the card of a query, to put before its results."""
    return Card(photo=thumbnail(photo, RESULT_CARD_WIDTH), lines=lines)


def result_rows(rows: Sequence[tuple[str, Sequence[Card]]], *, width: float = 6.4) -> Figure:
    """Draw one titled row of cards for each ranking (Figs. 6 and 7).

    Args:
        rows: Title and cards of each row. All rows need the same number of cards, and all cards the
            same number of text lines.
        width: Width of the figure in inches.
    """
    images: list[RgbImage] = [
        draw_cards(cards, columns=len(cards), card_width=RESULT_CARD_WIDTH) for _, cards in rows
    ]
    return photos(images, [title for title, _ in rows], columns=1, width=width)


def recall_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw the recall of an approximate index against its search time.

    A wider search cannot take less time. If it did when measured, another process slowed the narrower
    search down, and its time is replaced by that of the wider one.

    Args:
        curves: ``(time, recall)`` of each setting by name, narrowest search first. Times are relative
            to exact search; recall is 0 to 1.
    """
    figure, axes = subplots(5.8, 2.9)
    ax = axes[0, 0]
    for (name, points), color in zip(curves.items(), COLORS, strict=False):
        times, recalls = np.transpose(points)
        times = np.minimum.accumulate(times[::-1])[::-1]
        ax.plot(times, 100 * recalls, color=color, marker="o", markersize=4, label=name)
    ax.axvline(
        1, color=NEUTRAL, linewidth=1, linestyle="--", zorder=0, label="time of exact search"
    )
    ax.set(xscale="log", xlabel="search time relative to exact search (log scale)")
    ax.set_ylabel("true neighbors found (%)")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.grid(alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def recall_by_angle(
    angles: Float[np.ndarray, " p"],
    found: Bool[np.ndarray, " p"],
    groups: Shaped[np.ndarray, " p"],
) -> Figure:
    """Draw the share of correct photos that are found, by the angle between the two cameras.

    Args:
        angles: Angle between query and correct photo, seen from the landmark: 0 to 180 degrees.
        found: Whether the correct photo was found.
        groups: Name of the group that each pair belongs to; groups have separate bars.
    """
    figure, axes = subplots(5.8, 2.8)
    ax, names = axes[0, 0], np.unique(groups)
    bins, width = np.arange(len(ANGLE_EDGES) - 1), 0.8 / len(names)
    for number, (name, color) in enumerate(zip(names, COLORS, strict=False)):
        in_group = groups == name
        total = np.histogram(angles[in_group], ANGLE_EDGES)[0]
        shares = 100 * np.histogram(angles[in_group & found], ANGLE_EDGES)[0] / np.maximum(total, 1)
        x = bins - 0.4 + (number + 0.5) * width
        bars = ax.bar(x, shares, width=0.92 * width, color=color, label=name)
        labels = [f"of {count}" for count in total]
        ax.bar_label(bars, labels, padding=1, fontsize=6.5, color=NEUTRAL)
    ax.set_xticks(bins, [f"{low} to {high}°" for low, high in pairwise(ANGLE_EDGES)])
    ax.set(ylim=(0, 108), xlabel="angle between the two cameras")
    ax.set_ylabel("correct photos found (%)")
    figure.legend(loc="outside upper right", ncols=len(names), fontsize=8)
    return figure


def _score(ranking: Ranking, row: int) -> str:
    if ranking.scores is not None:
        return f"{ranking.scores[row]:.2f}"
    inliers = ranking.inliers[row]
    return f"{inliers}" if inliers >= 0 else f"({ranking.votes[row]})"
