"""Text of both explorers, as HTML: headings, legends, tables and messages."""

import base64
import html
from collections.abc import Mapping
from math import inf, isnan
from pathlib import PurePosixPath

from matplotlib import colormaps
from matplotlib.colors import to_hex

from delfjax.datasets.truth import Relevance
from delfjax.plots.base import Figure
from delfjax.plots.match_images import RELEVANCE_MARKS
from delfjax.search.searcher import SearchConfig
from delfjax.types import Ranking
from delfjax.widgets.attention_drawing import color_limits
from delfjax.widgets.attention_state import Cell, ScoredPhoto, ViewSettings, describe_view

CELL_HELP = (
    "Move the pointer over the photo to inspect a cell and its receptive field. "
    "Click to pin the cell; click again to release it."
)
CELL_COLUMNS = ("model", "score", "rank", "scale", "center (y, x)", "receptive field (pixels)")
BOX_HELP = "Drag a box to search with the features inside it only. Click to remove the box."
SLOW = 1.0  # seconds: a search that takes longer includes compilation
FILE_TYPES = {"png": "image/png", "pdf": "application/pdf"}  # of a saved figure
GRADIENT_STEPS = 17  # colors of the gradient that shows a color map


def notice(text: str) -> str:
    """Return an important message, which screen readers read at once."""
    return _block(f"<b>{html.escape(text)}</b>", role="alert")


def running(model: str, photo: str) -> str:
    """Return the message while a model runs on a photo."""
    return notice(f"Running {model} on {photo}. This takes a few seconds …")


# --- attention explorer


def model_heading(model: str, scored: ScoredPhoto, settings: ViewSettings) -> str:
    """Return a panel's heading: the model's name and what the panel shows."""
    return _block(f"<b>{html.escape(model)}</b><br>{html.escape(describe_view(scored, settings))}")


def color_bar(scored: ScoredPhoto, settings: ViewSettings) -> str:
    """Draw the color map as a bar, between the scores of its two ends."""
    steps = [step / (GRADIENT_STEPS - 1) for step in range(GRADIENT_STEPS)]
    colors = ",".join(to_hex(colormaps[settings.color_map](step)) for step in steps)
    low, high = (f"{limit:.4g}" for limit in color_limits(scored, settings))
    bar = f"flex:1;height:0.8em;background:linear-gradient(to right,{colors})"
    row = "display:flex;align-items:center;gap:0.7em;line-height:1.5"
    return (
        f'<div style="{row}"><span>{low}</span><div style="{bar}"></div><span>{high}</span></div>'
    )


def cell_table(scored: Mapping[str, ScoredPhoto], cells: Mapping[str, Cell]) -> str:
    """Return a table with the cell under the pointer, one row per model.

    Args:
        scored: The photo with the scores of each model, by the model's name.
        cells: The cell of each model. Models without one get an empty row.
    """
    rows = [
        CELL_COLUMNS,
        *(_cell_row(name, part, cells.get(name)) for name, part in scored.items()),
    ]
    style = (
        "padding:0 2em 0 0;text-align:left;white-space:nowrap;line-height:1.5;"
        "font-variant-numeric:tabular-nums"
    )
    lines = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        lines.append("".join(f'<{tag} style="{style}">{html.escape(text)}</{tag}>' for text in row))
    return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>{_block(CELL_HELP)}"


def download_links(figure: Figure, name: str) -> str:
    """Return links that download a figure under a file name, in each of `FILE_TYPES`."""
    stem, links = html.escape(name.replace("/", " "), quote=True), []
    for suffix, mime_type in FILE_TYPES.items():
        data = base64.b64encode(figure.to_bytes(suffix)).decode()
        links.append(
            f'<a download="{stem}.{suffix}" href="data:{mime_type};base64,{data}">'
            f"<u>{suffix.upper()}</u></a>"
        )
    return f"Save the figure as {' or '.join(links)}"


def _cell_row(model: str, scored: ScoredPhoto, cell: Cell | None) -> tuple[str, ...]:
    if cell is None:
        return (model, *["-"] * (len(CELL_COLUMNS) - 1))
    y, x = scored.centers[cell.row]
    top, left, bottom, right = scored.receptive_fields[cell.row]
    height, width = (bottom - top, right - left) + scored.level_pixel(cell.row)
    return (
        model,
        f"{cell.score:.4g}",
        f"{cell.rank:,} of {cell.total:,}",
        f"{cell.scale:.2f}",
        f"({y:.0f}, {x:.0f})",
        f"{height:.0f} x {width:.0f}",
    )


# --- retrieval explorer


def short_name(photo: str) -> str:
    """Return a photo's file name without its folder and suffix."""
    return PurePosixPath(photo).stem


def query_heading(photo: str, total: int, in_box: int | None) -> str:
    """Return the heading of the query.

    Args:
        photo: Name of the query.
        total: Number of features of the query.
        in_box: Number of features inside the box. None: there is no box.
    """
    used = _count(total, "feature") if in_box is None else f"{in_box} of {_count(total, 'feature')}"
    return _block(f"<b>{html.escape(short_name(photo))}</b>, {used}. {BOX_HELP}")


def result_lines(
    ranking: Ranking, position: int, photo: str, relevance: Relevance | None
) -> tuple[str, str]:
    """Return the two lines below a result: rank and name; relevance and number of inliers or votes.

    Args:
        ranking: The ranking.
        position: Position of the result in the ranking, from 0.
        photo: Name of the result.
        relevance: Whether the result is correct. None: not known.
    """
    inliers, votes = int(ranking.inliers[position]), int(ranking.votes[position])
    evidence = _count(votes, "vote") if inliers < 0 else _count(inliers, "inlier")
    if relevance is not None:
        evidence = f"{RELEVANCE_MARKS[relevance][0]} {relevance}, {evidence}"
    return f"{position + 1}  {short_name(photo)}", evidence


def search_summary(
    ranking: Ranking, photos: int, seconds: float, average_precision: float | None
) -> str:
    """Summarize a search: photos found, photos verified, time and average precision.

    Args:
        ranking: The ranking.
        photos: Number of photos in the database.
        seconds: Time that the search took.
        average_precision: From 0 to 1. None or NaN: not known.
    """
    if not len(ranking):
        text = "No photo has a vote. Increase the maximum distance, or drag a larger box."
        return _block(text, role="status")
    verified = int((ranking.inliers >= 0).sum())
    parts = [
        f"<b>{len(ranking):,} of {_count(photos, 'photo')} have votes</b>",
        f"{verified} verified" if verified else "ranked by votes, none verified",
        f"{1000 * seconds:,.0f} ms",
    ]
    if seconds > SLOW:
        parts[-1] += " (includes compilation, once for each size)"
    if average_precision is not None and not isnan(average_precision):
        parts.append(f"average precision {average_precision:.1%}")
    return _block(" · ".join(parts), role="status")


def pair_caption(query: str, result: str, position: int, matches: int, inliers: int | None) -> str:
    """Return the caption of a matched pair.

    Args:
        query: Name of the query.
        result: Name of the result.
        position: Position of the result in the ranking, from 0.
        matches: Number of putative matches.
        inliers: Number of inliers. None: not verified.
    """
    verified = "not verified" if inliers is None else f"{_count(inliers, 'inlier')} (bright)"
    return (
        f"{short_name(query)} and result {position + 1}, {short_name(result)}: "
        f"{_count(matches, 'putative match', 'putative matches')}, {verified}"
    )


def search_settings(config: SearchConfig, *, has_box: bool) -> str:
    """Describe how a query was searched, for the title of a figure."""
    query = "features in a box of the query" if has_box else "the query"
    limit = "" if config.max_distance == inf else f" within distance {config.max_distance:.2f}"
    order = f"top {config.verified} by votes verified" if config.verified else "ranked by votes"
    return f"{query}, {_count(config.neighbors, 'neighbor')} per feature{limit}, {order}"


def relevance_legend() -> str:
    """Return a legend of the marks and colors of the results."""
    parts = [
        f'<span style="border-bottom:4px solid {color};margin-right:1.5em">{mark} {relevance}</span>'
        for relevance, (mark, color) in RELEVANCE_MARKS.items()
    ]
    return _block("".join(parts))


def searching() -> str:
    """Return the message while a search takes longer than usual."""
    return _block("Searching. The first search of each size is compiled first …", role="status")


def _block(content: str, role: str = "note") -> str:
    return f'<div role="{role}" style="line-height:1.5">{content}</div>'


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
