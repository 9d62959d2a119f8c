"""What the attention explorer says beside its pictures, as HTML: names, colors, the cell under the pointer."""

import base64
import html
from collections.abc import Mapping

from matplotlib import colormaps
from matplotlib.colors import to_hex

from delfjax.plots.base import Drawing
from delfjax.widgets.attention_drawing import span, words
from delfjax.widgets.attention_state import Cell, Choice, Look

GUIDE = (
    "Point at the photo to see a cell: its score, and what it sees. "
    "A click keeps it, another lets it go."
)
HEADINGS = ("model", "score", "rank", "scale", "center (y, x)", "sees (pixels)")
CELL = "padding:0 2em 0 0;text-align:left;white-space:nowrap;line-height:1.5"
FILES = {"png": "image/png", "pdf": "application/pdf"}  # what a figure is saved as
STOPS = 17  # of the gradient that stands for a color map


def notice(text: str) -> str:
    """Say something that matters now; a screen reader speaks it at once."""
    return f'<div role="alert" style="line-height:1.5"><b>{html.escape(text)}</b></div>'


def heading(name: str, seen: Look, choice: Choice) -> str:
    """Name a model, and what is shown of it."""
    said = html.escape(words(seen, choice))
    return f'<div style="line-height:1.5"><b>{html.escape(name)}</b><br>{said}</div>'


def legend(seen: Look, choice: Choice, colors: str) -> str:
    """Draw the color map as a bar between the scores that its ends stand for."""
    stops = ",".join(to_hex(colormaps[colors](stop / (STOPS - 1))) for stop in range(STOPS))
    low, high = (f"{edge:.4g}" for edge in span(seen, choice))
    bar = f"flex:1;height:0.8em;background:linear-gradient(to right,{stops})"
    row = "display:flex;align-items:center;gap:0.7em;line-height:1.5"
    return (
        f'<div style="{row}"><span>{low}</span><div style="{bar}"></div><span>{high}</span></div>'
    )


def readout(looks: Mapping[str, Look], cells: Mapping[str, Cell]) -> str:
    """Tell of the cell of each model: score, rank, scale, center and receptive field; empty of none."""
    rows = [_row(name, seen, cells.get(name)) for name, seen in looks.items()]
    head = "".join(f'<th style="{CELL}">{heading}</th>' for heading in HEADINGS)
    return f'<table><tr>{head}</tr>{"".join(rows)}</table><div style="{CELL}">{GUIDE}</div>'


def links(figure: Drawing, name: str) -> str:
    """Offer a figure as files under a name, by links that hold them."""
    stem, parts = html.escape(name.replace("/", " "), quote=True), []
    for ending, kind in FILES.items():
        data = base64.b64encode(figure.encoded(ending)).decode()
        parts.append(
            f'<a download="{stem}.{ending}" href="data:{kind};base64,{data}"><u>{ending.upper()}</u></a>'
        )
    return f"Save the figure as {' or '.join(parts)}"


def _row(name: str, seen: Look, cell: Cell | None) -> str:
    parts = [html.escape(name)] + ["-"] * (len(HEADINGS) - 1)
    if cell is not None:
        y, x = seen.centers[cell.row]
        top, left, bottom, right = seen.boxes[cell.row]
        height, width = (bottom - top, right - left) + seen.pixel(cell.row)
        place, sees = f"({y:.0f}, {x:.0f})", f"{height:.0f} x {width:.0f}"
        rank = f"{cell.rank:,} of {cell.cells:,}"
        parts[1:] = [f"{cell.score:.4g}", rank, f"{cell.scale:.2f}", place, sees]
    style = f"{CELL};font-variant-numeric:tabular-nums"
    return "<tr>" + "".join(f'<td style="{style}">{part}</td>' for part in parts) + "</tr>"
