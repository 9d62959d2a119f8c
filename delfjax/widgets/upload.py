"""A widget that matches two uploaded photos, and functions for uploads and messages."""

import html
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display

from delfjax.features.extract_folder import LocalExtractor
from delfjax.images.reading import PhotoError, read_image
from delfjax.plots.pairs import matches
from delfjax.search.matching import match
from delfjax.types import Photo


def match_uploads(model: LocalExtractor) -> ipywidgets.VBox:
    """Create a widget with two upload buttons. The widget draws the matches of the uploaded photos.

    Args:
        model: Model that extracts the features to match; see ``delfjax.load``.

    Example:
        >>> import delfjax as dx
        >>> from delfjax.widgets import match_uploads
        >>> match_uploads(dx.load("delf_att"))
    """
    uploads = [
        ipywidgets.FileUpload(accept="image/*", description=name, layout={"width": "16em"})
        for name in ("first photo", "second photo")
    ]
    output = ipywidgets.Output()

    def show_matches(_: object) -> None:
        if all(upload.value for upload in uploads):
            output.clear_output(wait=True)
            with output:
                try:
                    first, second = (read_upload(upload.value[0]) for upload in uploads)
                    pair = match(model(first), model(second))
                except ValueError as error:  # such as a PhotoError
                    display(ipywidgets.HTML(notice(str(error))))
                else:
                    display(matches(first, second, pair))

    for upload in uploads:
        upload.observe(show_matches, names="value")
    return ipywidgets.VBox([ipywidgets.HBox(uploads), output])


def read_upload(uploaded: Mapping[str, Any]) -> Photo:
    """Read an uploaded photo, which is an item of ``ipywidgets.FileUpload.value``.

    Raises:
        PhotoError: If the uploaded file is not a readable photo.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(uploaded["name"]).name
        path.write_bytes(uploaded["content"])
        try:
            return read_image(path)
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(path), path.name)) from error


def notice(text: str) -> str:
    """Return an important message as HTML that screen readers read aloud at once."""
    return block(f"<b>{html.escape(text)}</b>", role="alert")


def block(content: str, role: str = "note") -> str:
    """Wrap HTML in a block. Screen readers use the ARIA role of the block."""
    return f'<div role="{role}" style="line-height:1.5">{content}</div>'
