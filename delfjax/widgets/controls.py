"""Base class of both explorers, labeled controls, messages and uploads."""

import html
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipywidgets import HTML, FileUpload, ValueWidget, VBox, Widget

from delfjax.images.reading import PhotoError, read_image
from delfjax.plots.base import Figure
from delfjax.types import Photo


def block(content: str, role: str = "note") -> str:
    """Wrap HTML in a block. Screen readers use the ARIA role of the block."""
    return f'<div role="{role}" style="line-height:1.5">{content}</div>'


def notice(text: str) -> str:
    """Return an important message as HTML that screen readers read aloud at once."""
    return block(f"<b>{html.escape(text)}</b>", role="alert")


def running(model: str, photo: str) -> str:
    """Return a message, as HTML, to show while a model runs on a photo."""
    return notice(f"Running {model} on {photo}. This takes a few seconds …")


def labeled(
    control: Callable[..., ValueWidget], description: str, **settings: object
) -> ValueWidget:
    """Create a control of a given class with a label. All labels have the same width."""
    style, layout = {"description_width": "7em"}, {"width": "auto"}
    return control(description=description, style=style, layout=layout, **settings)


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


class Explorer(VBox):
    """Base class of the explorers, with an upload button, a message, and a figure of the view.

    Attributes:
        upload: Button that uploads a photo.
        status: The current message.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status = HTML()
        self.upload = FileUpload(accept="image/*", description="upload a photo")
        self.upload.observe(self._on_upload, names="value")
        self._paused = False  # whether changes of controls are ignored

    def figure(self) -> Figure:
        """Draw the current view as a figure."""
        raise NotImplementedError

    def _add_photo(self, name: str, photo: Photo) -> None:
        """Show an uploaded photo. The explorer shows a raised `ValueError` as a message."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """Add a figure to the output of the widget, for pages that cannot run widgets."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        return bundle | {"image/jpeg": self.figure().to_bytes("jpeg")}

    def _watch(self, update: Callable[[], None], *controls: Widget, name: str = "value") -> None:
        """Call ``update`` when the trait ``name`` of a control changes, except inside `_pause`."""

        def update_unless_paused(_: object) -> None:
            if not self._paused:
                update()

        for control in controls:
            control.observe(update_unless_paused, names=name)

    @contextmanager
    def _pause(self) -> Iterator[None]:
        """Ignore changes of controls inside the ``with`` block."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _set_options(self, control: ValueWidget, options: Sequence[Any], value: object) -> None:
        """Set the options of a control. Select ``value``, or else the first option."""
        values = [option[1] if isinstance(option, tuple) else option for option in options]
        with self._pause():
            control.options = options
            control.value = value if value in values else values[0]

    def _on_upload(self, change: Mapping[str, Any]) -> None:
        if not change["new"]:
            return
        name = change["new"][0]["name"]
        self.status.value = running("the network", name)
        try:
            self._add_photo(name, read_upload(change["new"][0]))
            self.status.value = ""
        except ValueError as error:  # such as a PhotoError
            self.status.value = notice(str(error))
        self.upload.value = ()  # allows uploading the same file again
