"""The attention explorer: sliders over `delfjax.widgets.attention_state`, for one model or two side by side (Sec. 4.2).

The network runs once for a photo and a model; whatever is moved after that is drawn anew in milliseconds.
"""

from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import clear_output, display
from ipywidgets import HTML, HBox, Layout, VBox

from delfjax.features.extraction import Extractor
from delfjax.features.pyramid import resized
from delfjax.images.reading import PhotoError
from delfjax.plots.base import Drawing, encode
from delfjax.types import Photo
from delfjax.widgets import attention_captions, attention_drawing
from delfjax.widgets.attention_drawing import (
    COLOR_MAPS,
    SMALLEST,
    Style,
    render,
    shown_size,
)
from delfjax.widgets.attention_state import Choice, Look, cell_at, look
from delfjax.widgets.canvas import Picture
from delfjax.widgets.upload import WIDE, read_upload

MOST = 1000  # keypoints: as many as the official configuration keeps
ALL = "all"  # scales merged; a slider's value may not be None


def explore(photos: Mapping[str, Photo], extractors: Mapping[str, Extractor]) -> "Explorer":
    """Offer photos, and the visitor's own, to look at with the attention of models, or the norm.

    Args:
        photos: By the name that the menu has.
        extractors: Models by name. Of their configuration the pyramid counts.

    Returns:
        A widget. Where widgets do not live, as on a page that shows a saved notebook, its figure is seen.

    Raises:
        ValueError: If there is no photo, or no model.
    """
    if not photos or not extractors:
        raise ValueError(f"{len(photos)} photos, {len(extractors)} models; expected one at least")
    display(HTML(attention_captions.notice(_waiting(next(iter(photos)), next(iter(extractors))))))
    explorer = Explorer(photos, extractors)
    clear_output()  # the words make room for the widget
    return explorer


def _waiting(photo: str, model: str) -> str:
    return f"{photo} goes through {model}, scale by scale: this takes some seconds …"


class Panel(VBox):
    """One model's picture, its name above it and its scores' colors below."""

    def __init__(self) -> None:
        self.heading, self.picture, self.legend = HTML(), Picture(), HTML()
        super().__init__([self.heading, self.picture, self.legend])
        self.layout = Layout(flex="1 1 0", min_width="0")


class Explorer(VBox):
    """The widget that `explore` makes; its parts are attributes, so that a program can drive it, too.

    Attributes:
        photo, upload, model, other: What is looked at, by which models.
        score, scale, count, threshold: The `Choice`.
        colors, opacity: The `Style`.
        export, links: Makes a figure; where to get it.
        panels: A picture a model.
        readout: The cells under the pointer.
        status: What is being waited for, or went wrong.
    """

    def __init__(self, photos: Mapping[str, Photo], extractors: Mapping[str, Extractor]) -> None:
        self._photos, self._extractors = dict(photos), dict(extractors)
        self._known: dict[tuple[str, str], Look] = {}
        self._looks: dict[str, Look] = {}  # those that are shown, by model
        self._pointer: tuple[float, float] | None = None  # on the photo
        self._kept: tuple[float, float] | None = None  # where a click was
        self._quiet = False  # while the program itself changes what a control offers
        self._make_controls()
        self.panels = (Panel(), Panel())
        self.readout, self.status, self.links = HTML(), HTML(), HTML()
        super().__init__(self._arranged())
        self._observe()
        self._reload()

    def _make_controls(self) -> None:
        models = list(self._extractors)
        self.photo = ipywidgets.Dropdown(options=list(self._photos), description="photo", **WIDE)
        self.model = ipywidgets.Dropdown(options=models, description="model", **WIDE)
        self.other = ipywidgets.Dropdown(
            options=[("none", ""), *((name, name) for name in models)],
            description="compare with",
            **WIDE,
        )
        self.colors = ipywidgets.Dropdown(options=COLOR_MAPS, description="colors", **WIDE)
        self.score = ipywidgets.Dropdown(options=["attention", "norm"], description="score", **WIDE)
        self.scale = ipywidgets.SelectionSlider(options=[(ALL, ALL)], description="scale", **WIDE)
        self.count = ipywidgets.IntSlider(
            Choice().count, 0, MOST, 10, description="keypoints", **WIDE
        )
        self.threshold = ipywidgets.FloatSlider(
            0, min=0, max=0.99, step=0.01, description="threshold", readout_format=".0%", **WIDE
        )
        self.threshold.tooltip = "quantile of the scores under which no cell becomes a keypoint"
        self.opacity = ipywidgets.FloatSlider(
            Style().opacity, min=0, max=1, step=0.05, description="opacity", **WIDE
        )
        own = Layout(width="auto")
        self.upload = ipywidgets.FileUpload(
            accept="image/*", description="your own photo", layout=own
        )
        self.export = ipywidgets.Button(description="make a figure", icon="picture-o", layout=own)

    def _arranged(self) -> list[ipywidgets.Widget]:
        buttons = HBox([self.upload, self.export], layout=Layout(margin="0 0 0 7.5em"))
        column = Layout(flex="1 1 22em", max_width="34em")
        sides = (
            [self.photo, self.model, self.other, self.score, self.colors],
            [self.scale, self.count, self.threshold, self.opacity, buttons],
        )
        wrapped = Layout(flex_flow="row wrap", grid_gap="0 2em")
        controls = HBox([VBox(side, layout=column) for side in sides], layout=wrapped)
        pictures = HBox(self.panels, layout=Layout(grid_gap="0 1em"))
        return [controls, self.links, self.status, pictures, self.readout]

    def _observe(self) -> None:
        self.upload.observe(self._take_upload, names="value")
        self.export.on_click(self._offer_figure)
        for control in (self.photo, self.model, self.other):
            control.observe(self._reload, names="value")
        chosen = (self.score, self.scale, self.count, self.threshold)
        for control in (*chosen, self.colors, self.opacity):
            control.observe(self._redraw, names="value")
        for panel in self.panels:
            panel.picture.observe(self._follow, names="pointer")
            panel.picture.observe(self._keep, names="clicks")

    @property
    def choice(self) -> Choice:
        """What of the scores is shown."""
        return Choice(
            selection=self.score.value,
            scale=None if self.scale.value == ALL else self.scale.value,
            count=self.count.value,
            threshold=self.threshold.value,
        )

    @property
    def manner(self) -> Style:
        """How it is drawn."""
        return Style(colors=self.colors.value, opacity=self.opacity.value)

    def figure(self) -> Drawing:
        """Draw what is shown as a figure with color bars, to be kept."""
        return attention_drawing.figure(
            self._looks, self.choice, self.manner, photo=self.photo.value
        )

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """Give the figure beside the widget: pages on which no widget lives show that."""
        return super()._repr_mimebundle_(**kwargs) | {"image/jpeg": self.figure().encoded("jpeg")}

    def _reload(self, _: object = None) -> None:
        """Look at the photo by the models that are chosen; offer what they all have."""
        if self._quiet:
            return
        self.status.value = ""
        models = dict.fromkeys(filter(None, (self.model.value, self.other.value)))
        self._looks = {name: self._look(name) for name in models}
        seen = list(self._looks.values())
        scales = [s for s in seen[0].scales if all(np.isclose(s, e.scales).any() for e in seen)]
        scores = [name for name in ("attention", "norm") if any(name in e.scores for e in seen)]
        self._offer(self.scale, [(ALL, ALL), *((f"{scale:.2f}", scale) for scale in scales)])
        self._offer(self.score, scores)
        self._pointer = self._kept = None
        self._redraw()

    def _look(self, model: str) -> Look:
        """Run the network, if it has not seen this photo yet, and say so meanwhile."""
        key = self.photo.value, model
        if key not in self._known:
            self.status.value = attention_captions.notice(_waiting(*key))
            self._known[key] = look(self._photos[key[0]], self._extractors[model])
            self.status.value = ""
        return self._known[key]

    def _offer(self, control: ipywidgets.ValueWidget, options: list[Any]) -> None:
        """Change what a control offers, and keep its value if it is still among it."""
        if list(control.options) != options:
            before, self._quiet = control.value, True
            control.options = options
            if before in [option[1] if isinstance(option, tuple) else option for option in options]:
                control.value = before
            self._quiet = False

    def _redraw(self, _: object = None) -> None:
        """Draw everything anew, for what the controls say."""
        if self._quiet:
            return
        self.links.value = ""  # to a figure of something else
        for panel, (name, seen) in zip(self.panels, self._looks.items(), strict=False):
            panel.heading.value = attention_captions.heading(name, seen, self.choice)
            panel.legend.value = attention_captions.legend(seen, self.choice, self.manner.colors)
            panel.picture.alt = f"{self.photo.value}: {attention_captions.words(seen, self.choice)}"
            height, width = shown_size(seen.image_size)
            panel.layout.max_width = f"{SMALLEST * width // max(height, width)}px"
        self.panels[1].layout.display = "flex" if len(self._looks) > 1 else "none"
        self._redraw_pictures()

    def _redraw_pictures(self) -> None:
        """Draw the pictures, with the cell under the pointer, and tell of that."""
        point = self._pointer or self._kept
        cells = {}
        for panel, (name, seen) in zip(self.panels, self._looks.items(), strict=False):
            row = None
            if point is not None:
                cells[name] = cell_at(seen, self.choice, point)
                row = cells[name].row
            panel.picture.image = encode(render(seen, self.choice, self.manner, row))
        self.readout.value = attention_captions.readout(self._looks, cells)

    def _follow(self, change: Mapping[str, Any]) -> None:
        self._pointer = self._on_photo(change["new"])
        self._redraw_pictures()

    def _keep(self, change: Mapping[str, Any]) -> None:
        clicked = self._on_photo(change["owner"].clicked)
        self._kept = clicked if self._kept is None else None
        self._redraw_pictures()

    def _on_photo(self, point: tuple[float, float] | None) -> tuple[float, float] | None:
        """Bring a point of a picture to the photo."""
        if point is None:
            return None
        size = self._photos[self.photo.value].shape[:2]
        y, x = resized(np.array([point]), np.array(shown_size(size)), np.array(size))[0].tolist()
        return y, x

    def _take_upload(self, change: Mapping[str, Any]) -> None:
        """Add a photo that was uploaded; of one that cannot be read say why, and stay where we are."""
        if not change["new"]:
            return
        name = change["new"][0]["name"]
        try:
            self._photos[name] = read_upload(change["new"][0])
        except PhotoError as error:
            self.status.value = attention_captions.notice(str(error))
        else:
            self._known = {key: seen for key, seen in self._known.items() if key[0] != name}
            self._quiet = True
            self.photo.options, self.photo.value = list(self._photos), name
            self._quiet = False
            self._reload()
        self.upload.value = ()  # so that the same file can be chosen again

    def _offer_figure(self, _: object = None) -> None:
        """Make the figure, and links by which a browser saves it."""
        self.links.value = attention_captions.links(
            self.figure(), f"{self.photo.value} {self.score.value}"
        )
