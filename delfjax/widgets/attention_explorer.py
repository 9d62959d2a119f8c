"""The attention explorer: a widget that shows the score maps of one or two models (Sec. 4.2).

The network runs once for a photo and a model. Every later change is drawn in milliseconds.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from IPython.display import clear_output, display
from ipywidgets import (
    HTML,
    Button,
    Dropdown,
    FloatSlider,
    HBox,
    IntSlider,
    Layout,
    SelectionSlider,
    ValueWidget,
    VBox,
    Widget,
)

from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.extraction import Extractor
from delfjax.features.pyramid import scale_points
from delfjax.images.reading import PhotoError
from delfjax.plots.base import Figure, encode_jpeg
from delfjax.types import Photo
from delfjax.widgets import attention_drawing, captions
from delfjax.widgets.attention_drawing import MIN_SIDE, display_size, render
from delfjax.widgets.attention_state import (
    COLOR_MAPS,
    ScoredPhoto,
    ViewSettings,
    cell_at,
    describe_view,
    score_photo,
)
from delfjax.widgets.canvas import ImageCanvas
from delfjax.widgets.controls import labeled
from delfjax.widgets.upload import read_upload, upload_button

MAX_KEYPOINTS = 1000  # the official configuration keeps as many features per photo
ALL = "all"  # the scale slider's value for all scales, since it cannot be None


def explore(
    photos: Mapping[str, Photo] | Photo, models: Mapping[str, LocalExtractor] | LocalExtractor
) -> "AttentionExplorer":
    """Show where models find features in photos, in a widget with heatmaps and keypoints.

    You can compare two models, upload photos, and save the view as a figure.

    Args:
        photos: Photos by name, or a single photo.
        models: DELF models by name, as `delfjax.load` returns them, or a single one.

    Returns:
        The widget. On pages that cannot run widgets, such as GitHub's, it shows a figure.

    Raises:
        ValueError: If there is no photo or no model, or a model has no score maps, like SIFT.

    Example:
        >>> model = dx.load("delf_att")
        >>> dx.explore(dx.read_image("one.jpg"), model)
    """
    photos = photos if isinstance(photos, Mapping) else {"photo": photos}
    models = models if isinstance(models, Mapping) else {models.name: models}
    if not photos or not models:
        raise ValueError(f"{len(photos)} photos, {len(models)} models; expected at least one each")
    for name, model in models.items():
        if not isinstance(model, Extractor):
            raise ValueError(f"{name} has no score maps. Fix: use a DELF model")
    display(HTML(captions.running(next(iter(models)), next(iter(photos)))))
    explorer = AttentionExplorer(photos, models)
    clear_output()  # the widget replaces the message
    return explorer


class Panel(VBox):
    """The image of one model, with a heading above and a color bar below."""

    def __init__(self) -> None:
        self.heading, self.canvas, self.color_bar = HTML(), ImageCanvas(), HTML()
        super().__init__([self.heading, self.canvas, self.color_bar])
        self.layout = Layout(flex="1 1 0", min_width="0")


class AttentionExplorer(VBox):
    """The widget that `explore` returns. Its controls are attributes, so a program can use them too.

    Attributes:
        photo: Menu of the photos.
        upload: Button that adds a photo.
        model: Menu of the models.
        other_model: Menu of the model to compare with, or none.
        score: Menu of the scores.
        scale: Slider of the pyramid scale.
        count: Slider of the maximum number of keypoints.
        threshold: Slider of the score threshold.
        color_map: Menu of the color maps.
        opacity: Slider of the heatmap's opacity.
        export: Button that makes a figure of the view.
        links: Links that download the figure.
        panels: One panel per model.
        cell_table: Table of the cell under the pointer.
        status: Messages.
    """

    def __init__(self, photos: Mapping[str, Photo], models: Mapping[str, Extractor]) -> None:
        self._photos, self._models = dict(photos), dict(models)
        self._cache: dict[tuple[str, str], ScoredPhoto] = {}  # by photo and model
        self._shown: dict[str, ScoredPhoto] = {}  # by model
        self._pointer: tuple[float, float] | None = None  # (y, x) on the photo
        self._pinned: tuple[float, float] | None = None  # (y, x) of the click that pinned a cell
        self._paused = False  # whether changes of controls are ignored
        self._create_controls()
        self.panels = (Panel(), Panel())
        self.cell_table, self.status, self.links = HTML(), HTML(), HTML()
        super().__init__(self._arrange())
        self._connect()
        self._reload()

    def _create_controls(self) -> None:
        models, defaults = list(self._models), ViewSettings()
        other_models = [("none", ""), *((name, name) for name in models)]
        self.photo = labeled(Dropdown, "photo", options=list(self._photos))
        self.model = labeled(Dropdown, "model", options=models)
        self.other_model = labeled(Dropdown, "compare with", options=other_models)
        self.score = labeled(Dropdown, "score", options=["attention", "norm"])
        self.color_map = labeled(Dropdown, "color map", options=COLOR_MAPS)
        self.scale = labeled(SelectionSlider, "scale", options=[(ALL, ALL)])
        self.count = labeled(
            IntSlider, "keypoints", value=defaults.count, max=MAX_KEYPOINTS, step=10
        )
        self.threshold = labeled(
            FloatSlider, "threshold", max=0.99, step=0.01, readout_format=".0%"
        )
        self.threshold.tooltip = "Share of the cells, with the lowest scores, that are left out"
        self.opacity = labeled(FloatSlider, "opacity", value=defaults.opacity, max=1, step=0.05)
        self.upload = upload_button("upload a photo")
        self.export = Button(description="make a figure", icon="picture-o")
        self.upload.layout.width = self.export.layout.width = "auto"

    def _arrange(self) -> list[Widget]:
        buttons = HBox([self.upload, self.export], layout=Layout(margin="0 0 0 7.5em"))
        column = Layout(flex="1 1 22em", max_width="34em")
        sides = (
            [self.photo, self.model, self.other_model, self.score, self.color_map],
            [self.scale, self.count, self.threshold, self.opacity, buttons],
        )
        wrapped = Layout(flex_flow="row wrap", grid_gap="0 2em")
        controls = HBox([VBox(side, layout=column) for side in sides], layout=wrapped)
        panels = HBox(self.panels, layout=Layout(grid_gap="0 1em"))
        return [controls, self.links, self.status, panels, self.cell_table]

    def _connect(self) -> None:
        self.upload.observe(self._on_upload, names="value")
        self.export.on_click(self._on_export)
        for control in (self.photo, self.model, self.other_model):
            control.observe(self._reload, names="value")
        settings = (self.score, self.scale, self.count, self.threshold)
        for control in (*settings, self.color_map, self.opacity):
            control.observe(self._redraw, names="value")
        for panel in self.panels:
            panel.canvas.observe(self._on_pointer, names="pointer")
            panel.canvas.observe(self._on_click, names="clicks")

    @property
    def settings(self) -> ViewSettings:
        """The settings of the controls."""
        return ViewSettings(
            score=self.score.value,
            scale=None if self.scale.value == ALL else self.scale.value,
            count=self.count.value,
            threshold=self.threshold.value,
            color_map=self.color_map.value,
            opacity=self.opacity.value,
        )

    def figure(self) -> Figure:
        """Draw the current view as a figure with color bars."""
        return attention_drawing.figure(self._shown, self.settings, photo=self.photo.value)

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any]:
        """Add the figure to the widget's output, for pages that cannot run widgets."""
        return super()._repr_mimebundle_(**kwargs) | {"image/jpeg": self.figure().to_bytes("jpeg")}

    def _reload(self, _: object = None) -> None:
        """Show the chosen photo and models; offer the scales and scores that the models have."""
        if self._paused:
            return
        self.status.value = ""
        models = dict.fromkeys(filter(None, (self.model.value, self.other_model.value)))
        self._shown = {model: self._score_photo(model) for model in models}
        shown = list(self._shown.values())
        scales = [s for s in shown[0].scales if all(np.isclose(s, e.scales).any() for e in shown)]
        scores = [name for name in ("attention", "norm") if any(name in e.scores for e in shown)]
        self._set_options(self.scale, [(ALL, ALL), *((f"{scale:.2f}", scale) for scale in scales)])
        self._set_options(self.score, scores)
        self._pointer = self._pinned = None
        self._redraw()

    def _score_photo(self, model: str) -> ScoredPhoto:
        """Run the model on the chosen photo, unless its scores are in the cache."""
        key = self.photo.value, model
        if key not in self._cache:
            self.status.value = captions.running(model, self.photo.value)
            self._cache[key] = score_photo(self._photos[self.photo.value], self._models[model])
            self.status.value = ""
        return self._cache[key]

    def _set_options(self, control: ValueWidget, options: list[Any]) -> None:
        """Change the options of a control; keep its value if it is still an option."""
        if list(control.options) != options:
            before, self._paused = control.value, True
            control.options = options
            if before in [option[1] if isinstance(option, tuple) else option for option in options]:
                control.value = before
            self._paused = False

    def _redraw(self, _: object = None) -> None:
        """Draw everything with the current settings."""
        if self._paused:
            return
        self.links.value = ""  # the links are to a figure of the previous view
        settings = self.settings
        for panel, (model, scored) in zip(self.panels, self._shown.items(), strict=False):
            panel.heading.value = captions.model_heading(model, scored, settings)
            panel.color_bar.value = captions.color_bar(scored, settings)
            view = describe_view(scored, settings)
            panel.canvas.alt = f"{self.photo.value}: {view}"
            height, width = display_size(scored.image_size)
            panel.layout.max_width = f"{MIN_SIDE * width // max(height, width)}px"
        self.panels[1].layout.display = "flex" if len(self._shown) > 1 else "none"
        self._redraw_images()

    def _redraw_images(self) -> None:
        """Draw the images, and describe the cell under the pointer or the pinned one."""
        point, settings = self._pointer or self._pinned, self.settings
        cells = {}
        for panel, (model, scored) in zip(self.panels, self._shown.items(), strict=False):
            row = None
            if point is not None:
                cells[model] = cell_at(scored, settings, point)
                row = cells[model].row
            panel.canvas.image = encode_jpeg(render(scored, settings, row))
        self.cell_table.value = captions.cell_table(self._shown, cells)

    def _on_pointer(self, change: Mapping[str, Any]) -> None:
        self._pointer = self._on_photo(change["new"])
        self._redraw_images()

    def _on_click(self, change: Mapping[str, Any]) -> None:
        clicked = self._on_photo(change["owner"].clicked)
        self._pinned = clicked if self._pinned is None else None
        self._redraw_images()

    def _on_photo(self, point: tuple[float, float] | None) -> tuple[float, float] | None:
        """Convert a point from pixels of the displayed image to pixels of the photo."""
        if point is None:
            return None
        size = np.array(self._photos[self.photo.value].shape[:2])
        displayed = np.array(display_size(tuple(size.tolist())))
        y, x = scale_points(np.array([point]), displayed, size)[0].tolist()
        return y, x

    def _on_upload(self, change: Mapping[str, Any]) -> None:
        """Show an uploaded photo; if it cannot be read, show the reason and keep the view."""
        if not change["new"]:
            return
        name = change["new"][0]["name"]
        try:
            self._photos[name] = read_upload(change["new"][0])
        except PhotoError as error:
            self.status.value = captions.notice(str(error))
        else:
            self._cache = {key: scored for key, scored in self._cache.items() if key[0] != name}
            self._paused = True
            self.photo.options, self.photo.value = list(self._photos), name
            self._paused = False
            self._reload()
        self.upload.value = ()  # allows uploading the same file again

    def _on_export(self, _: object = None) -> None:
        name = f"{self.photo.value} {self.score.value}"
        self.links.value = captions.download_links(self.figure(), name)
