"""The attention explorer: a widget or web page that shows attention scores on photos (Sec. 4.2).

Python runs each model once per photo. The scores of all cells (positions of the feature maps) go to
the script ``attention.js``, which draws the explorer in a notebook and on a web page.
"""

import base64
import html
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import matplotlib as mpl
import numpy as np
import traitlets
from IPython.display import clear_output, display
from ipywidgets import HTML

from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.extraction import Extractor, ScoreMaps, Selection
from delfjax.features.factory import load
from delfjax.features.pyramid import first_centers
from delfjax.files import write_output
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError
from delfjax.plots.base import HEATMAP_COLORS, HEATMAP_RANGE, Figure, data_url
from delfjax.plots.features import heatmaps
from delfjax.plots.pages import html_page, shrink
from delfjax.types import Photo
from delfjax.widgets.upload import notice, read_upload

SCRIPT = Path(__file__).with_name("attention.js")
MAX_SIZE = 960, 960  # pixels: maximum height and width of the displayed photo
STEPS = 2**16 - 1  # scores are sent as whole numbers from 0 to this number
DEFAULTS: dict[str, Any] = {
    "other": "",
    "score": "attention",
    "scale": "all",
    "count": 100,
    "heat": True,
    "keypoints": True,
    "shift": True,
}


def explore(
    photos: Mapping[str, Photo] | Photo | str | Path,
    models: Mapping[str, LocalExtractor] | LocalExtractor | None = None,
) -> "AttentionExplorer":
    """Show a widget with the score heatmaps and keypoints of one or more models.

    In the widget, you can compare two models, upload photos, and inspect cells of feature maps.

    Args:
        photos: Folder of photos, mapping from names to photos, or a single photo, as from
            ``delfjax.read_image``.
        models: Mapping from names to DELF models (see ``delfjax.load``), or a single model. None:
            the default model.

    Returns:
        The widget. Its method ``save`` writes a web page with the explorer. Where widgets cannot
        run, such as on GitHub, a figure is shown instead.

    Raises:
        ValueError: If ``photos`` or ``models`` is empty, or if a model is not a DELF model.
        PhotoError: If the first photo of a folder cannot be read.

    Example:
        >>> import delfjax as dx
        >>> dx.explore("photos")
        >>> dx.explore(dx.read_image("one.jpg"), dx.load("delf_att"))
    """
    read: Callable[[str], Photo]
    if isinstance(photos, str | Path):
        folder = scan(photos)
        names, read = folder.names, folder.load
    else:
        photos = photos if isinstance(photos, Mapping) else {"photo": photos}
        names, read = tuple(photos), photos.__getitem__
    models = load() if models is None else models
    models = models if isinstance(models, Mapping) else {models.name: models}
    if not names or not models:
        raise ValueError(
            f"photos has {len(names)} entries and models has {len(models)}; expected at least one "
            "photo and one model. Fix: add a photo or a model"
        )
    extractors: dict[str, Extractor] = {}
    for name, model in models.items():
        if not isinstance(model, Extractor):
            raise ValueError(f"model {name!r} computes no score maps. Fix: pass a DELF model")
        extractors[name] = model
    display(HTML(notice(f"Running {next(iter(models))} on {names[0]} …")))
    explorer = AttentionExplorer(names, read, extractors)
    clear_output()  # the widget replaces the message
    return explorer


class AttentionExplorer(anywidget.AnyWidget):
    """The widget that `explore` returns. The notebook draws it; see ``attention.js``.

    Attributes:
        photos: Names of the photos.
        models: Names of the models.
        settings: What is shown. ``photo``, ``model`` and ``other`` (a second model, or ``""``) are
            names. ``score`` is ``"attention"`` or ``"norm"``, the L2 norm of the descriptor.
            ``scale`` is the scale of a pyramid level with two decimals, or ``"all"``. ``count`` is
            the maximum number of keypoints. ``heat`` and ``keypoints``: whether to show the heatmap
            and the keypoints. ``shift``: whether to draw both half a cell further down and right,
            where the networks respond most, as the notebook ``04_attention`` measures.
        views: Dict from the name of the shown photo to its image and its scores by chosen models.
        heat_style: ``colors`` of the heatmap (RGB, 0 to 255), and ``range``: the percentiles of the
            scores that have the first and the last color.
        status: Error message about the last photo, or ``""``.
    """

    _esm = SCRIPT

    photos = traitlets.List(traitlets.Unicode()).tag(sync=True)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    views = traitlets.Dict().tag(sync=True)
    heat_style = traitlets.Dict().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        photos: Sequence[str],
        read: Callable[[str], Photo],
        models: Mapping[str, Extractor],
    ) -> None:
        colors = 255 * mpl.colormaps[HEATMAP_COLORS](np.arange(256))[:, :3]
        style = {"colors": colors.round().astype(int).tolist(), "range": HEATMAP_RANGE}
        super().__init__(photos=[*photos], models=[*models], heat_style=style)
        self._read, self._models = read, models
        self._uploads: dict[str, Photo] = {}
        self._maps: dict[tuple[str, str], ScoreMaps] = {}  # by photo and model
        self._images: dict[str, str] = {}  # data URLs by photo
        self.on_msg(self._on_upload)
        self.settings = DEFAULTS | {"photo": self.photos[0], "model": self.models[0]}
        if self.status:
            raise PhotoError(self.status)

    def figure(self) -> Figure:
        """Draw the current view as a figure: the photo, and a heatmap of each chosen model."""
        name, kind = self.settings["photo"], self.settings["score"]
        shown = {}
        for model in self._chosen:
            maps = self._maps[name, model]
            score: Selection = "norm" if maps.attention is None else kind
            scales = [f"{scale:.2f}" for scale in maps.scales]
            scale = self.settings["scale"]
            level = scales.index(scale) if scale in scales else None
            shown[f"{model}: {score}, scale: {scale}"] = maps.heatmap(score, level)
        return heatmaps(self._load(name), shown)

    def save(self, path: str | Path, *, title: str = "Attention explorer", text: str = "") -> None:
        """Write a web page (one HTML file) with the explorer for all photos and models.

        The page needs no Python and no other files. Before it is written, the models run on all photos
        that were not shown yet.

        Args:
            path: Path of the ``.html`` file.
            title: Title of the page.
            text: Text below the explorer.
        """
        state = {name: getattr(self, name) for name in ("photos", "models", "heat_style")}
        views = {photo: self._view(photo, self.models) for photo in self.photos}
        settings = DEFAULTS | {"photo": self.photos[0], "model": self.models[0]}
        state |= {"views": views, "settings": settings, "status": ""}
        content = json.dumps(state, separators=(",", ":")).replace("<", "\\u003c")
        body = f"""<h1>{html.escape(title)}</h1><main></main><p>{html.escape(text)}</p>
<script type="module">
{SCRIPT.read_text(encoding="utf-8")}
const state = {content};
const model = {{ get: (name) => state[name], set() {{}}, on() {{}}, save_changes() {{}} }};
render({{ model, el: document.querySelector("main") }});
</script>"""
        write_output(Path(path), html_page(title, "", body))

    @property
    def _chosen(self) -> list[str]:
        names = self.settings["model"], self.settings["other"]
        return [*dict.fromkeys(filter(None, names))]

    @traitlets.observe("settings")
    def _on_settings(self, _: object = None) -> None:
        """Send the scores of the chosen photo and models, if they are not those of the last time."""
        name = self.settings["photo"]
        shown = self.views.get(name, {"models": {}})["models"]
        if {*self._chosen} <= {*shown}:
            return
        try:
            self.views = {name: self._view(name, self._chosen)}
        except PhotoError as error:
            self.status = str(error)

    def _load(self, name: str) -> Photo:
        return self._uploads[name] if name in self._uploads else self._read(name)

    def _view(self, name: str, models: Sequence[str]) -> dict[str, Any]:
        """Return a photo and its scores by the given models. Run those that have not run yet."""
        if missing := [model for model in models if (name, model) not in self._maps]:
            photo = self._load(name)
            self._images[name] = data_url(shrink(photo, MAX_SIZE))
            for model in missing:
                self._maps[name, model] = self._models[model].score_maps(photo)
        maps = {model: self._maps[name, model] for model in models}
        return {
            "image": self._images[name],
            "size": next(iter(maps.values())).image_size,
            "models": {
                model: encode_scores(each, self._models[model].receptive_field.size)
                for model, each in maps.items()
            },
        }

    def _on_upload(
        self, _: object, content: Mapping[str, str], buffers: Sequence[memoryview]
    ) -> None:
        """Show a photo that the user has uploaded."""
        name, self.status = content["name"], ""  # an equal message would not be sent again
        try:
            photo = read_upload({"name": name, "content": buffers[0]})
        except PhotoError as error:
            self.status = str(error)
            return
        self._uploads[name] = photo
        self._maps = {key: maps for key, maps in self._maps.items() if key[0] != name}
        self.views = {}
        self.photos = [*dict.fromkeys([*self.photos, name])]
        self.settings = self.settings | {"photo": name}
        self._on_settings()  # this photo may have been chosen already

    def _repr_mimebundle_(self, **options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add a figure to the output of the widget, for pages that cannot run widgets."""
        bundle: Any = super()._repr_mimebundle_(**options)  # type: ignore[arg-type]  # wrong annotation
        data, metadata = self.figure()._repr_mimebundle_()
        return bundle[0] | data, bundle[1] | metadata


def encode_scores(maps: ScoreMaps, receptive_field: int) -> dict[str, Any]:
    """Return the scores of a photo as a dict that ``attention.js`` reads.

    Sizes, centers of first cells, and ``receptive_field`` (side length) are in pixels of a level.
    A score is stored as a 16-bit whole number: 0 stands for ``low``, and 65535 for ``high``.
    """
    firsts = first_centers(maps.sizes, maps.padding)
    levels = [
        {"scale": scale, "size": size.tolist(), "first": first.tolist(), "shape": norms.shape}
        for scale, size, first, norms in zip(
            maps.scales, maps.sizes, firsts, maps.norms, strict=True
        )
    ]
    kinds = {"norm": maps.norms, "attention": maps.attention}
    scores = {}
    for kind, parts in kinds.items():
        if parts is not None:
            values = np.concatenate([part.ravel() for part in parts]).astype(float)
            low, high = float(values.min()), float(values.max())
            steps = np.rint(STEPS * (values - low) / ((high - low) or 1)).astype("<u2")
            data = base64.b64encode(steps.tobytes()).decode()
            scores[kind] = {"low": low, "high": high, "data": data}
    return {"field": receptive_field, "levels": levels, "scores": scores}
