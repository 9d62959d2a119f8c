"""Upload buttons for photos, and a widget that matches two uploaded photos."""

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
from delfjax.widgets import captions


def match_uploads(model: LocalExtractor) -> ipywidgets.VBox:
    """Show two upload buttons, and the matches of the two photos once both are uploaded.

    Args:
        model: Extractor of the photos' features, as `delfjax.load` returns it.

    Example:
        >>> model = dx.load("delf_att")
        >>> match_uploads(model)
    """
    names = ("first photo", "second photo")
    uploads = [upload_button(name) for name in names]
    output = ipywidgets.Output()

    def show_matches(_: object) -> None:
        if all(upload.value for upload in uploads):
            output.clear_output(wait=True)
            with output:
                try:
                    photos = [read_upload(upload.value[0]) for upload in uploads]
                    pair = match(*(model(photo) for photo in photos))
                except ValueError as error:  # such as a PhotoError
                    display(ipywidgets.HTML(captions.notice(str(error))))
                else:
                    display(matches(*photos, pair))

    for upload in uploads:
        upload.observe(show_matches, names="value")
        upload.layout.width = "16em"
    return ipywidgets.VBox([ipywidgets.HBox(uploads), output])


def upload_button(description: str) -> ipywidgets.FileUpload:
    """Return a button that uploads one photo."""
    return ipywidgets.FileUpload(accept="image/*", description=description)


def read_upload(uploaded: Mapping[str, Any]) -> Photo:
    """Read an uploaded photo.

    Args:
        uploaded: An item of the ``value`` of an upload button.

    Raises:
        PhotoError: If the file cannot be read as a photo. The message names the uploaded file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(uploaded["name"]).name
        path.write_bytes(uploaded["content"])
        try:
            return read_image(path)
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(path), path.name)) from error
