"""The attention explorer: a widget that shows the attention scores of one or two models (Sec. 4.2).

The network runs once for each photo and model. Other changes take milliseconds.
"""

import base64
import html
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
    VBox,
)
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex

from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.extraction import Extractor
from delfjax.features.pyramid import scale_points
from delfjax.plots.base import Figure, draw_photo, encode_jpeg, subplots
from delfjax.types import Photo
from delfjax.widgets.attention_view import (
    COLOR_MAPS,
    MIN_SIDE,
    ScoredPhoto,
    ViewSettings,
    cell_at,
    color_limits,
    describe_view,
    display_size,
    render,
    score_photo,
    shown_levels,
)
from delfjax.widgets.canvas import ImageCanvas
from delfjax.widgets.controls import Explorer, block, labeled, running

MAX_KEYPOINTS = 1000  # number of features per photo in the official configuration
ALL = "all"  # value of the scale slider for all scales; the slider does not allow None
CELL_HELP = (
    "Move the pointer over the photo to inspect a cell of the feature map and its receptive field. "
    "Click to pin the cell; click again to release it."
)
CELL_COLUMNS = ("model", "score", "rank", "scale", "center (y, x)", "receptive field (pixels)")
CELL_STYLE = (
    "padding:0 2em 0 0;text-align:left;white-space:nowrap;line-height:1.5;"
    "font-variant-numeric:tabular-nums"
)
FILE_TYPES = {"png": "image/png", "pdf": "application/pdf"}  # formats of the saved figure


def explore(
    photos: Mapping[str, Photo] | Photo, models: Mapping[str, LocalExtractor] | LocalExtractor
) -> "AttentionExplorer":
    """Show a widget with the score heatmaps and keypoints of one or more models.

    In the widget, you can compare two models, upload photos, and save the view as a figure.

    Args:
        photos: Mapping from names to photos, or a single photo, as from ``delfjax.read_image``.
        models: Mapping from names to DELF models (see ``delfjax.load``), or a single model.

    Returns:
        The widget. Pages that cannot run widgets, such as GitHub, show a figure instead.

    Raises:
        ValueError: If ``photos`` or ``models`` is empty, or if a model is not a DELF model.

    Example:
        >>> import delfjax as dx
        >>> dx.explore(dx.read_image("one.jpg"), dx.load("delf_att"))
    """
    photos = photos if isinstance(photos, Mapping) else {"photo": photos}
    models = models if isinstance(models, Mapping) else {models.name: models}
    if not photos or not models:
        raise ValueError(
            f"photos has {len(photos)} entries and models has {len(models)}; expected at least one "
            "photo and one model. Fix: add a photo or a model"
        )
    extractors: dict[str, Extractor] = {}
    for name, model in models.items():
        if not isinstance(model, Extractor):
            raise ValueError(f"model {name!r} computes no score maps. Fix: pass a DELF model")
        extractors[name] = model
    display(HTML(running(next(iter(models)), next(iter(photos)))))
    explorer = AttentionExplorer(photos, extractors)
    clear_output()  # the widget replaces the message
    return explorer


class Panel(VBox):
    """The heatmap of one model, between a heading and a color bar."""

    def __init__(self) -> None:
        self.heading, self.canvas, self.color_bar = HTML(), ImageCanvas(), HTML()
        super().__init__([self.heading, self.canvas, self.color_bar])
        self.layout = Layout(flex="1 1 0", min_width="0")

    def show_texts(self, model: str, photo: str, scored: ScoredPhoto, view: ViewSettings) -> None:
        """Update the heading, the text for screen readers, and the color bar."""
        text = describe_view(scored, view)
        self.heading.value = block(f"<b>{html.escape(model)}</b><br>{html.escape(text)}")
        self.canvas.alt = f"{photo}: {text}"
        colors = ",".join(map(to_hex, colormaps[view.color_map](np.linspace(0, 1, 17))))
        low, high = (f"{limit:.4g}" for limit in color_limits(scored, view))
        bar = f"flex:1;height:0.8em;background:linear-gradient(to right,{colors})"
        row = "display:flex;align-items:center;gap:0.7em;line-height:1.5"
        self.color_bar.value = (
            f'<div style="{row}"><span>{low}</span><div style="{bar}"></div>'
            f"<span>{high}</span></div>"
        )
        height, width = display_size(scored.image_size)
        self.layout.max_width = f"{MIN_SIDE * width // max(height, width)}px"


class AttentionExplorer(Explorer):
    """The widget that `explore` returns. The attributes are the parts of the widget.

    Attributes:
        photo: Menu of the photos.
        model: Menu of the models.
        other_model: Menu of the models to compare with; the first entry is "none".
        score: Menu of the kinds of score: "attention" and "norm" (L2 norm of the descriptors).
        scale: Slider of the scales of the image pyramid; the first position shows all scales.
        count: Slider of the maximum number of keypoints.
        threshold: Slider of the minimum score of keypoints, as a quantile of all scores.
        color_map: Menu of the color maps.
        opacity: Slider of the opacity of the heatmap.
        export: Button that draws the view as a figure. ``links`` then shows download links.
        panels: Panels of the two models. The second panel is hidden if only one model is shown.
        cell_table: Table about the feature-map position under the pointer, or the pinned position.
    """

    def __init__(self, photos: Mapping[str, Photo], models: Mapping[str, Extractor]) -> None:
        super().__init__()
        self._photos, self._models = dict(photos), dict(models)
        self._cache: dict[tuple[str, str], ScoredPhoto] = {}  # by photo and model
        self._shown: dict[str, ScoredPhoto] = {}  # by model
        self._pointer: tuple[float, float] | None = None  # (y, x) on the photo
        self._pinned: tuple[float, float] | None = None  # (y, x) of the click that pinned a cell
        self._create_controls()
        self.panels = (Panel(), Panel())
        for panel in self.panels:
            panel.canvas.observe(self._on_pointer, names="pointer")
            panel.canvas.observe(self._on_click, names="clicks")
        self.cell_table, self.links = HTML(), HTML()
        buttons = HBox([self.upload, self.export], layout=Layout(margin="0 0 0 7.5em"))
        column = Layout(flex="1 1 22em", max_width="34em")
        sides = (
            [self.photo, self.model, self.other_model, self.score, self.color_map],
            [self.scale, self.count, self.threshold, self.opacity, buttons],
        )
        wrapped = Layout(flex_flow="row wrap", grid_gap="0 2em")
        controls = HBox([VBox(side, layout=column) for side in sides], layout=wrapped)
        images = HBox(self.panels, layout=Layout(grid_gap="0 1em"))
        self.children = [controls, self.links, self.status, images, self.cell_table]
        self._reload()

    def _create_controls(self) -> None:
        models, defaults = list(self._models), ViewSettings()
        other_models = [("none", ""), *((name, name) for name in models)]
        self.photo = labeled(Dropdown, "photo", options=list(self._photos))
        self.model = labeled(Dropdown, "model", options=models)
        self.other_model = labeled(Dropdown, "compare with", options=other_models)
        self.score = labeled(Dropdown, "score", options=["attention", "norm"])
        self.color_map = labeled(
            Dropdown, "color map", options=COLOR_MAPS, value=defaults.color_map
        )
        self.scale = labeled(SelectionSlider, "scale", options=[(ALL, ALL)])
        self.count = labeled(
            IntSlider, "keypoints", value=defaults.count, max=MAX_KEYPOINTS, step=10
        )
        self.threshold = labeled(
            FloatSlider, "threshold", max=0.99, step=0.01, readout_format=".0%"
        )
        self.threshold.tooltip = "Fraction of the cells to leave out, those with the lowest scores"
        self.opacity = labeled(FloatSlider, "opacity", value=defaults.opacity, max=1, step=0.05)
        self.export = Button(description="make a figure", icon="picture-o")
        self.upload.layout.width = self.export.layout.width = "auto"
        self.export.on_click(self._on_export)
        self._watch(self._reload, self.photo, self.model, self.other_model)
        settings = (self.score, self.scale, self.count, self.threshold)
        self._watch(self._redraw, *settings, self.color_map, self.opacity)

    @property
    def settings(self) -> ViewSettings:
        """Settings of the view, read from the controls."""
        return ViewSettings(
            score=self.score.value,
            scale=None if self.scale.value == ALL else self.scale.value,
            count=self.count.value,
            threshold=self.threshold.value,
            color_map=self.color_map.value,
            opacity=self.opacity.value,
        )

    def figure(self) -> Figure:
        """Draw the current view as a figure, with a heatmap and a color bar for each model."""
        settings = self.settings
        height, width = self._photos[self.photo.value].shape[:2]
        panel = min(6.4, 4.8 * width / height)  # inches
        size = (panel + 0.8) * len(self._shown), panel * height / width + 0.55
        figure, axes = subplots(*size, 1, len(self._shown))
        for ax, (model, scored) in zip(axes[0], self._shown.items(), strict=True):
            title = f"{self.photo.value}, {model}\n{describe_view(scored, settings)}"
            draw_photo(ax, render(scored, settings), title)
            colors = ScalarMappable(Normalize(*color_limits(scored, settings)), settings.color_map)
            bar = figure.colorbar(colors, ax=ax, fraction=0.035, pad=0.02, extend="both")
            bar.set_label(scored.available_score(settings.score))
        return figure

    def _reload(self) -> None:
        """Show the selected photo and models. Update the options of the scale and the score."""
        photo = self.photo.value
        models = dict.fromkeys(filter(None, (self.model.value, self.other_model.value)))
        for model in models:
            if (photo, model) not in self._cache:
                self.status.value = running(model, photo)
                self._cache[photo, model] = score_photo(self._photos[photo], self._models[model])
        self._shown = {model: self._cache[photo, model] for model in models}
        self.status.value = ""
        shown = list(self._shown.values())
        scales = [s for s in shown[0].scales if all(np.isclose(s, e.scales).any() for e in shown)]
        scores = [name for name in ("attention", "norm") if any(name in e.scores for e in shown)]
        options = [(ALL, ALL), *((f"{scale:.2f}", scale) for scale in scales)]
        self._set_options(self.scale, options, self.scale.value)
        self._set_options(self.score, scores, self.score.value)
        self._pointer = self._pinned = None
        self._redraw()

    def _redraw(self) -> None:
        """Draw all panels again with the current settings."""
        self.links.value = ""  # the links download a figure of the previous view
        settings = self.settings
        for panel, (model, scored) in zip(self.panels, self._shown.items(), strict=False):
            panel.show_texts(model, self.photo.value, scored, settings)
        self.panels[1].layout.display = "flex" if len(self._shown) > 1 else "none"
        self._redraw_images()

    def _redraw_images(self) -> None:
        """Draw the images, and describe the cell under the pointer or the pinned cell."""
        point, settings = self._pointer or self._pinned, self.settings
        table: list[tuple[str, ...]] = [CELL_COLUMNS]
        for panel, (model, scored) in zip(self.panels, self._shown.items(), strict=False):
            row = None if point is None else cell_at(scored, settings, point)
            panel.canvas.image = encode_jpeg(render(scored, settings, row))
            table.append(describe_cell(model, scored, settings, row))
        lines = []
        for number, texts in enumerate(table):
            tag = "td" if number else "th"
            cells = (f'<{tag} style="{CELL_STYLE}">{html.escape(text)}</{tag}>' for text in texts)
            lines.append(f"<tr>{''.join(cells)}</tr>")
        self.cell_table.value = f"<table>{''.join(lines)}</table>{block(CELL_HELP)}"

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
        size = self._photos[self.photo.value].shape[:2]
        y, x = scale_points(np.array([point]), display_size(size), size)[0].tolist()
        return y, x

    def _add_photo(self, name: str, photo: Photo) -> None:
        self._photos[name] = photo
        self._cache = {key: scored for key, scored in self._cache.items() if key[0] != name}
        self._set_options(self.photo, list(self._photos), name)
        self._reload()

    def _on_export(self, _: Button) -> None:
        """Show links that download the figure as PNG and PDF."""
        figure, links = self.figure(), []
        stem = html.escape(f"{self.photo.value} {self.score.value}".replace("/", " "), quote=True)
        for suffix, mime_type in FILE_TYPES.items():
            data = base64.b64encode(figure.to_bytes(suffix)).decode()
            links.append(
                f'<a download="{stem}.{suffix}" href="data:{mime_type};base64,{data}">'
                f"<u>{suffix.upper()}</u></a>"
            )
        self.links.value = f"Save the figure as {' or '.join(links)}"


def describe_cell(
    model: str, scored: ScoredPhoto, settings: ViewSettings, row: int | None
) -> tuple[str, ...]:
    """Return the table entries about the cell of index ``row``, or dashes if ``row`` is None."""
    if row is None:
        return (model, *["-"] * (len(CELL_COLUMNS) - 1))
    y, x = scored.centers[row]
    top, left, bottom, right = scored.receptive_fields[row]
    height, width = (bottom - top, right - left) + scored.level_pixel(row)
    scores = scored.scores[scored.available_score(settings.score)]
    shown = scores[np.isin(scored.levels, shown_levels(scored, settings.scale))]
    return (
        model,
        f"{scores[row]:.4g}",
        f"{1 + (shown > scores[row]).sum():,} of {len(shown):,}",
        f"{scored.scales[scored.levels[row]]:.2f}",
        f"({y:.0f}, {x:.0f})",
        f"{height:.0f} x {width:.0f}",
    )
