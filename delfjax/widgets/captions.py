"""HTML of the explorers: messages, headings, legends and tables."""

import base64
import html
from collections.abc import Mapping

from matplotlib import colormaps
from matplotlib.colors import to_hex

from delfjax.plots.base import Figure
from delfjax.plots.retrieval import RELEVANCE_MARKS
from delfjax.widgets.attention_drawing import color_limits
from delfjax.widgets.attention_state import Cell, ScoredPhoto, ViewSettings, describe_view

CELL_HELP = (
    "Move the pointer over the photo to inspect a cell and its receptive field. "
    "Click to pin the cell; click again to release it."
)
CELL_COLUMNS = ("model", "score", "rank", "scale", "center (y, x)", "receptive field (pixels)")
FILE_TYPES = {"png": "image/png", "pdf": "application/pdf"}  # of a saved figure
GRADIENT_STEPS = 17  # colors of the gradient that shows a color map


def notice(text: str) -> str:
    """Return an important message, which screen readers read at once."""
    return block(f"<b>{html.escape(text)}</b>", role="alert")


def running(model: str, photo: str) -> str:
    """Return the message while a model runs on a photo."""
    return notice(f"Running {model} on {photo}. This takes a few seconds …")


def model_heading(model: str, scored: ScoredPhoto, settings: ViewSettings) -> str:
    """Return a panel's heading: the model's name and what the panel shows."""
    return block(f"<b>{html.escape(model)}</b><br>{html.escape(describe_view(scored, settings))}")


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
    return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>{block(CELL_HELP)}"


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


def relevance_legend() -> str:
    """Return a legend of the marks and colors of search results."""
    parts = [
        f'<span style="border-bottom:4px solid {color};margin-right:1.5em">{mark} {relevance}</span>'
        for relevance, (mark, color) in RELEVANCE_MARKS.items()
    ]
    return block("".join(parts))


def block(content: str, role: str = "note") -> str:
    """Wrap HTML in a block with an ARIA role."""
    return f'<div role="{role}" style="line-height:1.5">{content}</div>'
