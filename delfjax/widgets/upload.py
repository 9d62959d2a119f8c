"""Widgets for the notebooks: what people try with their own photos."""

import html
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display

from delfjax.features.extraction import Extractor
from delfjax.images.reading import PhotoError, read_image
from delfjax.plots import base
from delfjax.plots.base import Figure
from delfjax.search.matching import match
from delfjax.types import Photo

# Controls below each other: their names in one column, and all the room there is.
WIDE = {"style": {"description_width": "7em"}, "layout": {"width": "auto"}}


def match_two(extractor: Extractor) -> ipywidgets.VBox:
    """Offer two upload buttons; once both hold a photo, show the matches that RANSAC keeps.

    Args:
        extractor: Model and selection.
    """
    names = ("first photo", "second photo")
    uploads = [ipywidgets.FileUpload(accept="image/*", description=name) for name in names]
    output = ipywidgets.Output()

    def answer(_: object) -> None:
        if all(upload.value for upload in uploads):
            output.clear_output(wait=True)
            with output:
                _show(lambda: _match_uploads(extractor, uploads))

    for upload in uploads:
        upload.observe(answer, names="value")
        upload.layout.width = "16em"
    return ipywidgets.VBox([ipywidgets.HBox(uploads), output])


def _match_uploads(extractor: Extractor, uploads: list[ipywidgets.FileUpload]) -> Figure:
    photos = [read_upload(upload.value[0]) for upload in uploads]
    pair = match(*(extractor(photo) for photo in photos))
    title = f"{pair.num_inliers} inliers of {len(pair.matches)} putative matches"
    return base.matches(*photos, pair.matches, pair.inliers, title=title)


def read_upload(uploaded: Mapping[str, Any]) -> Photo:
    """Read a photo that a `FileUpload` holds.

    Raises:
        PhotoError: As `read_image`, of the name that the file has on the visitor's machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(uploaded["name"]).name
        path.write_bytes(uploaded["content"])
        try:
            return read_image(path)
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(path), path.name)) from error


def _show(draw: Callable[[], Figure]) -> None:
    try:
        display(draw())
    except PhotoError as error:  # a wrong file is the visitor's to mend, not a traceback
        display(ipywidgets.HTML(f"<b>{html.escape(str(error))}</b>"))
