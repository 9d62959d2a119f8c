"""Shared style of all figures, a grid of photos, and functions that resize and encode images.

All functions of `delfjax.plots` take positions as ``(y, x)``, although matplotlib uses ``(x, y)``.
The figures do not use pyplot and its global state, so they work in notebooks, scripts and widgets.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import UInt8
from matplotlib import figure as mpl_figure
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from PIL import Image

from delfjax.files import write_output
from delfjax.types import Box

STYLE = mpl.RcParams(
    {
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.limits": (-5, 6),  # a factor above an axis would move the title
        "figure.dpi": 110,
        "savefig.bbox": "tight",
    }
)
# Pixels per pixel on screen, for dense screens. Photos have fewer, so that notebooks stay small.
DENSITY = {"png": 2.0, "jpeg": 1.3}
HEATMAP_COLORS = "magma"
HEATMAP_RANGE = (1, 99.5)  # percentiles of the first and the last color; robust to outliers
NEUTRAL = "#8a8f98"
TEXT, MUTED = "#23272f", "#626974"  # colors of main text and of secondary text
COLORS = ("#3b6fb6", "#d98032", "#4a9d6f", "#a05fa8")  # of the first, second, ... curve of a plot
DARK = (20, 20, 30)  # the color over photos that are dimmed
DIM = 0.5  # opacity of the dark layer over the unselected part of a photo
FIGURE_QUALITY, PAGE_QUALITY, WIDGET_QUALITY = 50, 75, 90  # JPEG quality, 1 to 95

RgbImage = UInt8[np.ndarray, "_ _ 3"]
"""An RGB image. Images of this type may differ in size within one call. `Photo` images may not."""


class Figure(mpl_figure.Figure):
    """A matplotlib figure that a notebook displays without pyplot.

    Figures with photos are displayed as JPEG, because PNG makes notebooks ten times larger.
    """

    def legend(self, *handles_labels: object, **options: object) -> Legend:
        """Add a legend without a frame, with the arguments of `matplotlib.figure.Figure.legend`."""
        return super().legend(*handles_labels, **{"frameon": False} | options)

    def save(self, path: str | Path) -> None:
        """Write the figure to a file. Create the folder of the file if it is missing.

        Args:
            path: Path of the file. The suffix, such as ``.png`` or ``.pdf``, sets the format.
        """
        path = Path(path)
        write_output(path, self.to_bytes(path.suffix.removeprefix(".").replace("jpg", "jpeg")))

    def to_bytes(self, format: str) -> bytes:
        """Encode the figure in a file format: ``"png"``, ``"jpeg"``, ``"pdf"`` or ``"svg"``."""
        stream = io.BytesIO()
        options: dict[str, Any] = {"dpi": STYLE["figure.dpi"] * DENSITY.get(format, 1)}
        if format == "jpeg":
            options["pil_kwargs"] = {"quality": FIGURE_QUALITY}
        with mpl.rc_context(STYLE):
            self.savefig(stream, format=format, **options)
        return stream.getvalue()

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Return the image, and its size on screen, at which it is sharp on dense screens."""
        format = "jpeg" if any(ax.images for ax in self.axes) else "png"
        data = self.to_bytes(format)
        size = Image.open(io.BytesIO(data)).size
        width, height = (round(side / DENSITY[format]) for side in size)
        kind = f"image/{format}"
        return {kind: data}, {kind: {"width": width, "height": height}}


def subplots(
    width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any
) -> tuple[Figure, np.ndarray]:
    """Create a figure in the shared style. Return the figure and its axes.

    ``width`` and ``height`` are in inches. ``grid`` holds further arguments of
    `matplotlib.figure.Figure.subplots`. The array of axes has the shape ``(rows, columns)``.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, axes


def set_title(ax: Axes, title: str) -> None:
    """Set the title of the axes as small text, aligned to the left."""
    ax.set_title(title, loc="left", fontsize=STYLE["axes.titlesize"])


def draw_photo(ax: Axes, photo: RgbImage, title: str = "") -> None:
    """Draw a photo with a title on the given axes, without ticks and frame."""
    ax.imshow(photo)
    set_title(ax, title)
    ax.set_axis_off()


def photos(
    images: Sequence[RgbImage],
    titles: Sequence[str] = (),
    *,
    boxes: Sequence[Box | None] = (),
    columns: int | None = None,
    width: float = 10,
) -> Figure:
    """Draw photos in a grid.

    In a single row, all photos get the same height. In several rows, all columns get the same
    width, and photos that are taller than most photos of their row are scaled down.

    Args:
        images: At least one photo. Sizes may differ.
        titles: Titles of the photos. Photos after the last title have no title.
        boxes: Boxes to outline, one per photo, in pixels of the photo. None draws no box.
        columns: Number of photos per row. None draws all photos in one row.
        width: Width of the figure in inches.
    """
    columns = columns or len(images)
    aspects = np.array([image.shape[0] / image.shape[1] for image in images])
    widths = np.ones(columns) if len(images) > columns else 1 / aspects
    heights = [
        width * np.median(widths[: len(row)] * row) / widths.sum()
        for row in np.split(aspects, range(columns, len(aspects), columns))
    ]
    titled = [any(titles[row * columns : (row + 1) * columns]) for row in range(len(heights))]
    grid = {"width_ratios": widths, "height_ratios": heights}
    figure, axes = subplots(width, sum(heights) + 0.24 * sum(titled), len(heights), columns, **grid)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    for number, ax in enumerate(axes.ravel()):
        ax.set_axis_off()
        if number < len(images):
            draw_photo(ax, images[number], titles[number] if number < len(titles) else "")
            ax.set_anchor("NW")
        if number < len(boxes) and (box := boxes[number]) is not None:
            # Edges of boxes lie between pixels. matplotlib puts pixel centers at whole numbers.
            corner = box.left - 0.5, box.top - 0.5
            size = box.right - box.left, box.bottom - box.top
            ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="#ffd23f", linewidth=2))
    return figure


def fit_size(size: tuple[int, int], bounds: tuple[int, int]) -> tuple[int, int]:
    """Scale ``size`` up or down to just fit into ``bounds``. Both are ``(height, width)``."""
    factor = min(bounds[0] / size[0], bounds[1] / size[1])
    return max(1, round(factor * size[0])), max(1, round(factor * size[1]))


def resize(photo: RgbImage, size: tuple[int, int]) -> RgbImage:
    """Resize a photo to ``size``, the ``(height, width)`` in pixels."""
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BICUBIC))


def encode_jpeg(image: RgbImage, quality: int = WIDGET_QUALITY) -> bytes:
    """Encode an image as JPEG with a quality of 1 to 95. PNG is ten times slower and larger."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def data_url(image: RgbImage) -> str:
    """Encode an image as JPEG. Return a data URL, for the ``src`` of an HTML ``<img>``."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image, PAGE_QUALITY)).decode()}"


def pluralize(number: int, noun: str) -> str:
    """Return a number and a noun as text, such as "2 photos"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
