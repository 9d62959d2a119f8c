"""A picture in a notebook that tells where the pointer is on it: the one widget that is made here.

ipywidgets knows no mouse; anywidget needs no build step, only the ES module `picture.js` beside this file.
"""

from pathlib import Path

import anywidget
import traitlets


class Picture(anywidget.AnyWidget):
    """An image, the pointer over it, clicks, and a box that is dragged.

    Pixels are those of the image itself, however large it is drawn; ``(0, 0)`` is the center of the top-left
    one. While the kernel is busy, the browser keeps back all positions but the latest.

    Attributes:
        image: The file, in a format that browsers show, such as JPEG.
        alt: What it shows, in words.
        boxes: Whether dragging draws a box, in place of scrolling by touch.
        cells: ``(rows, columns)`` of an image that is a table: arrow keys go from cell to cell. ``(0, 0)``:
            it is none. The Enter key clicks where the pointer is.
        pointer: ``(y, x)`` under the mouse, a finger, or the arrow keys; None off the image.
        clicked: ``(y, x)`` of the last click.
        clicks: How many there were: observe this one, as a click may be where the last one was.
        box: The last box: ``(top, left, bottom, right)``, edges between pixels, 0 at the top left, as in
            `delfjax.images.reading.Box`. None at first, and after a click; to set it draws it, or takes it away.
    """

    _esm = Path(__file__).with_suffix(".js")

    image = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    boxes = traitlets.Bool(False).tag(sync=True)
    cells = traitlets.Tuple(traitlets.Int(), traitlets.Int(), default_value=(0, 0)).tag(sync=True)
    pointer = traitlets.Tuple(
        traitlets.Float(), traitlets.Float(), allow_none=True, default_value=None
    ).tag(sync=True)
    clicked = traitlets.Tuple(
        traitlets.Float(), traitlets.Float(), allow_none=True, default_value=None
    ).tag(sync=True)
    clicks = traitlets.Int(0).tag(sync=True)
    box = traitlets.Tuple(*[traitlets.Float()] * 4, allow_none=True, default_value=None).tag(
        sync=True
    )
