"""Draw the diagrams of the system (Fig. 1) and of the training (Fig. 4) of the paper, for the notebooks.

Every number in the diagrams comes from a configuration or from the networks. `nnx.eval_shape` finds the
shapes of arrays in a network without computing their values.
"""

import textwrap
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from delfjax.features.extraction import Delf, ExtractionConfig
from delfjax.features.pca import PAPER_DIMENSIONS
from delfjax.features.pyramid import level_size
from delfjax.models.attention import HIDDEN_CHANNELS, Attention
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET50_V1, ResNetSpec, receptive_field
from delfjax.plots.base import COLORS, HEATMAP_COLORS, MUTED, NEUTRAL, TEXT, Figure, subplots
from delfjax.search.searcher import SearchConfig
from delfjax.training.classifier import Classifier, is_trainable
from delfjax.training.config import STAGES, TrainingConfig, small_config

DESCRIPTOR_COLOR, ATTENTION_COLOR, SEARCH_COLOR, GEOMETRY_COLOR = COLORS
STEP_SIZE = (1.35, 0.64)  # inches: width and height of a box
MARGIN, WIDTH = 0.1, 10  # inches: margin and width of the figure
LABEL_SIZE, NOTE_SIZE = 8.5, 7.2  # points: font sizes
CORNER_RADIUS = 0.06  # inches: corner of a box
DEPTH_SLOPE = 0.5  # slope of the receding edges of a feature map (rise per inch)
TIMES = "\N{MULTIPLICATION SIGN}"
PEAK = np.exp(
    -(((np.mgrid[:6, :6].T - (2.7, 3)) / (2.4, 2)) ** 2).sum(-1)
)  # example of a score map, 0 to 1
Point = tuple[float, float]
Shape = tuple[int, ...]


def system_diagram(
    photo: tuple[int, int],
    *,
    spec: ResNetSpec = RESNET50_V1,
    config: ExtractionConfig | None = None,
) -> Figure:
    """Draw the system (Fig. 1): feature extraction at the top, retrieval at the bottom.

    Args:
        photo: ``(height, width)`` of the example photo in pixels.
        spec: Architecture of the backbone.
        config: Settings of the feature extraction. None: the default settings.
    """
    canvas = Canvas(4.9)
    _draw_extraction(canvas, photo, spec, config or ExtractionConfig(), y=3.25)
    canvas.rule(2.2)
    _draw_retrieval(canvas, SearchConfig(), y=0.45)
    return canvas.figure


def training_diagram(
    classes: int,
    *,
    finetune: TrainingConfig | None = None,
    attention: TrainingConfig | None = None,
    spec: ResNetSpec = RESNET50_V1,
) -> Figure:
    """Draw the two training steps of the paper (Fig. 4). Trained parts are colored, others are gray.

    Args:
        classes: Number of landmarks.
        finetune: Settings of step 1, fine-tuning. None: ``small_config("finetune")``.
        attention: Settings of step 2, attention. None: ``small_config("attention")``.
        spec: Architecture of the backbone.
    """
    canvas = Canvas(5.6)
    finetune = finetune or small_config("finetune")
    attention = attention or small_config("attention")
    title = "(a) Step 1: descriptors are fine-tuned"
    _draw_training_step(canvas, trace_training(finetune, classes, spec), title, y=4.35)
    canvas.rule(3.1)
    title = "(b) Step 2: attention is learned"
    _draw_training_step(canvas, trace_training(attention, classes, spec), title, y=1.05)
    return canvas.figure


# --- shapes


class Level(NamedTuple):
    """A pyramid level: scale factor, ``(height, width)`` in pixels, and shape of the conv4 output."""

    scale: float
    size: Shape
    conv4: Shape


class ParameterCount(NamedTuple):
    """Number of all parameters and of trained parameters in a part of the network."""

    total: int
    trained: int


class TrainingShapes(NamedTuple):
    """Array shapes in step 1 or step 2 of the training, for one photo.

    Attributes:
        config: Settings of the training step.
        maps: Output shape of each backbone stage for the largest input size. With attention, also the
            shape of the ``scores``.
        classifier: Number of channels of the pooled descriptor, and number of landmarks.
        parameters: Parameter counts by part of the network, in the order of the forward pass.
    """

    config: TrainingConfig
    maps: dict[str, Shape]
    classifier: Shape
    parameters: dict[str, ParameterCount]


def trace_levels(photo: tuple[int, int], spec: ResNetSpec, config: ExtractionConfig) -> list[Level]:
    """Find the sizes and shapes of the pyramid levels of a photo, from coarse to fine."""

    def run(size: Shape) -> jnp.ndarray:
        rngs = nnx.Rngs(0)
        model = Delf(ResNet(spec, folded=True, rngs=rngs), Attention(spec.channels, rngs=rngs))
        return model(jnp.zeros((*size, 3), jnp.uint8), jnp.ones(size, bool))[0]

    base = level_size(photo, min(1.0, config.pyramid.longest / max(photo)))
    sizes = {scale: level_size(base, scale) for scale in sorted(config.pyramid.scales)}
    return [
        Level(scale, size, nnx.eval_shape(lambda size=size: run(size)).shape)
        for scale, size in sizes.items()
    ]


def trace_training(config: TrainingConfig, classes: int, spec: ResNetSpec) -> TrainingShapes:
    """Find the array shapes and parameter counts of step 1 or step 2 of the training."""
    side = max(config.augmentation.input_sizes)

    def create() -> Classifier:
        rngs = nnx.Rngs(0)
        backbone = ResNet(spec, conv5=config.network.pooled_layer == "conv5", rngs=rngs)
        return Classifier(backbone, classes, config.network, rngs=rngs)

    def run() -> dict[str, jnp.ndarray]:
        photos, model = jnp.zeros((1, side, side, 3)), create()
        return model.backbone(photos) | model(photos)

    shapes = {name: value.shape[1:] for name, value in nnx.eval_shape(run).items()}
    model, total, trained = nnx.eval_shape(create), Counter(), Counter()
    for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        name = path[1] if path[0] == "backbone" else path[0]
        total[name] += value.size
        trained[name] += value.size * is_trainable(path, config.network)
    (classifier,) = (name for name in total if name.endswith("_classifier"))
    parts = [name for name in (*STAGES, "conv5", "attention", classifier) if name in total]
    return TrainingShapes(
        config=config,
        maps={name: shapes[name] for name in (*STAGES, "conv5", "scores") if name in shapes},
        classifier=getattr(model, classifier).kernel.shape,
        parameters={name: ParameterCount(total[name], trained[name]) for name in parts},
    )


# --- parts of the diagrams


def _draw_extraction(
    canvas: "Canvas", photo: tuple[int, int], spec: ResNetSpec, config: ExtractionConfig, y: float
) -> None:
    """Draw the processing from a photo to the features of the photo."""
    levels, field, upper = trace_levels(photo, spec, config), receptive_field(spec), y + 1.05
    cells = sum(level.conv4[0] * level.conv4[1] for level in levels)
    features = min(config.max_features, cells)
    canvas.heading(y + 1.5, "From a photo to its features", "Secs. 4.1 to 4.3")
    widths = [1.25 * level.size[1] / levels[-1].size[1] for level in reversed(levels)]
    pyramid = canvas.pyramid((0.95, y), widths, gap=0.13)
    scales = f"{len(levels)} scales, {levels[0].scale:g} to {levels[-1].scale:g}"
    canvas.note((0.95, y - 0.5), f"photo {_join(photo)} px\n{scales}")
    note = f"to conv4: stride {field.stride},\nreceptive field {field.size} px"
    name = spec.name.replace("resnet_", "resnet").replace("resnet", "ResNet-").replace("_", " ")
    backbone = canvas.step((2.7, y), name, note, size=(1.4, 0.8), color=DESCRIPTOR_COLOR)
    canvas.arrow((pyramid.right, y), backbone.west)
    maps = canvas.feature_map((4.15, y), 0.56, 0.34, DESCRIPTOR_COLOR)
    canvas.arrow(backbone.east, (maps.left, y))
    original = min(levels, key=lambda level: abs(level.scale - 1))
    note = f"{_join(original.conv4)} at scale {original.scale:g}\n{cells:,} cells in all"
    canvas.note((4.3, y - 0.55), note)

    note = f"1{TIMES}1: {spec.channels} to {HIDDEN_CHANNELS} to 1,\nsoftplus"
    head = canvas.step((5.55, upper), "attention", note, size=(1.5, 0.74), color=ATTENTION_COLOR)
    canvas.arrow((4.3, maps.top), head.west, bent=True)
    scores = canvas.scores((7.1, upper), "one score\nper cell")
    canvas.arrow(head.east, scores.west)
    best = canvas.step((7.1, y), f"best {features:,}", "cells by score", color=ATTENTION_COLOR)
    canvas.arrow((maps.right, y), best.west, "descriptors")
    canvas.arrow(scores.south, best.north)
    title, note = f"PCA to {PAPER_DIMENSIONS}", "L2 before and after"
    pca = canvas.step((8.95, y), title, note, color=DESCRIPTOR_COLOR)
    canvas.arrow(best.east, pca.west)
    canvas.note((8.95, y - 0.5), f"features, {features:,} {TIMES} {PAPER_DIMENSIONS}")


def _draw_retrieval(canvas: "Canvas", search: SearchConfig, y: float) -> None:
    """Draw the processing from a query photo to the ranking of the database."""
    upper = y + 0.95
    canvas.heading(y + 1.55, "From a query to a ranking", "Sec. 4.4")
    for offset in (0, 0.09, 0.18):
        database = canvas.photo((0.62 + offset, upper + 0.09 - offset), (0.6, 0.45))
    canvas.note((0.7, upper - 0.42), "database")
    query = canvas.photo((0.7, y), (0.6, 0.45), color=TEXT)
    canvas.note((0.7, y - 0.35), "query")
    index = canvas.step((3.3, upper), "index", "exact, or a graph", color=SEARCH_COLOR)
    note = f"{search.neighbors} per feature"
    nearest = canvas.step((3.3, y), "neighbors", note, color=SEARCH_COLOR)
    for photo, step in ((database, index), (query, nearest)):
        canvas.arrow((photo.right, step.west[1]), step.west, "features")
    canvas.arrow(index.south, nearest.north)
    votes = canvas.step((5.15, y), "votes", "matches per photo", color=SEARCH_COLOR)
    note = f"affine RANSAC,\nbest {search.verified} photos"
    verified = canvas.step(
        (7.0, y), "verification", note, size=(STEP_SIZE[0], 0.78), color=GEOMETRY_COLOR
    )
    ranked = canvas.step((8.95, y), "ranking", "by inliers", color=GEOMETRY_COLOR)
    for step, following in pairwise((nearest, votes, verified, ranked)):
        canvas.arrow(step.east, following.west)


def _draw_training_step(canvas: "Canvas", shapes: TrainingShapes, title: str, y: float) -> None:
    """Draw step 1 or 2 of the training, from the photo to the loss. Attention is above the backbone."""
    network, attentive = shapes.config.network, "scores" in shapes.maps
    total, trained = np.sum([*shapes.parameters.values()], 0) / 1e6
    counts = f"{trained:.1f} of {total:.1f} million parameters are trained"
    canvas.heading(y + (1.75 if attentive else 1.0), title, counts)
    maps = _draw_stages(canvas, shapes, y)
    normalized = network.normalize_weighted if attentive else network.normalize_average
    note = "of unit descriptors" if normalized else "of descriptors"
    pooled = canvas.step((6.35, y), f"weighted {network.pooling}" if attentive else "mean", note)
    canvas.arrow((maps.right, y), pooled.west)
    if attentive:
        (x, _), upper = maps.north, pooled.top + 0.8
        note, color = _trained(shapes.parameters["attention"], ATTENTION_COLOR)
        head = canvas.step((x, upper), "attention", note, color=color)
        canvas.arrow((x, maps.top), head.south)
        note = f"{_join(shapes.maps['scores'])}\nscores"
        scores = canvas.scores((pooled.north[0], upper), note)
        canvas.arrow(head.east, scores.west)
        canvas.arrow(scores.south, pooled.north)
    note, color = _trained([*shapes.parameters.values()][-1], SEARCH_COLOR)
    channels, classes = shapes.classifier
    classifier = canvas.step((7.95, y), "classifier", f"{channels} to {classes}", color=color)
    canvas.note((7.95, classifier.bottom - 0.17), note)
    loss = canvas.step((9.35, y), "softmax", "cross-entropy", size=(1.05, STEP_SIZE[1]))
    canvas.arrow(pooled.east, classifier.west)
    canvas.arrow(classifier.east, loss.west)


def _draw_stages(canvas: "Canvas", shapes: TrainingShapes, y: float) -> "Extent":
    """Draw the photo and the output of each backbone stage. Return the extent of the last output."""
    largest, *others = sorted(shapes.config.augmentation.input_sizes, reverse=True)
    smaller = textwrap.fill(f"or {', '.join(map(str, others))}", 14) if others else ""
    note = f"{_join((largest, largest))}\n{smaller}".strip()
    extent = canvas.photo((0.6, y), (0.8, 0.8), color=TEXT)
    canvas.note((0.6, y - 0.62 - 0.06 * note.count("\n")), note)
    stages = [stage for stage in shapes.maps if stage != "scores"]
    for stage, x in zip(stages, np.linspace(1.55, 4.7, len(stages)), strict=True):
        side, _, channels = shapes.maps[stage]
        note, color = _trained(shapes.parameters[stage], DESCRIPTOR_COLOR)
        front, depth = 1.05 * (side / largest) ** 0.5, 0.07 * (np.log2(channels) - 3)
        feature_map = canvas.feature_map((x, y), front, depth, color)
        canvas.arrow((extent.right, y), (feature_map.left, y))
        canvas.label((x + depth / 2, y - 0.55), stage)
        canvas.note((x + depth / 2, y - 0.8), f"{_join(shapes.maps[stage])}\n{note}")
        extent = feature_map
    return extent


def _trained(parameters: ParameterCount, color: str) -> tuple[str, str]:
    """Return the note for a part of the network, and ``color`` if it is trained or gray if frozen."""
    if not parameters.trained:
        return "frozen", NEUTRAL
    size, unit = (1e6, "M") if parameters.trained > 1e5 else (1e3, "k")
    return f"{parameters.trained / size:.1f} {unit} trained", color


def _join(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


# --- drawing


class Extent(NamedTuple):
    """The rectangle that a part of a diagram covers, in inches from the lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, center: Point, size: Point) -> "Extent":
        """Return the rectangle with a given center and size ``(width, height)``."""
        (x, y), (width, height) = center, size
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def west(self) -> Point:
        """Middle of the left side."""
        return self.left, (self.bottom + self.top) / 2

    @property
    def east(self) -> Point:
        """Middle of the right side."""
        return self.right, (self.bottom + self.top) / 2

    @property
    def north(self) -> Point:
        """Middle of the upper side."""
        return (self.left + self.right) / 2, self.top

    @property
    def south(self) -> Point:
        """Middle of the lower side."""
        return (self.left + self.right) / 2, self.bottom


class Canvas:
    """A figure for a diagram. Positions are ``(x, y)`` in inches from the lower left corner.

    Methods that draw a part of the diagram return the `Extent` of the part, to connect parts by arrows.
    """

    def __init__(self, height: float):
        self.figure, axes = subplots(WIDTH, height)
        self.figure.get_layout_engine().set(w_pad=0, h_pad=0)
        self.ax = axes[0, 0]
        self.ax.set(xlim=(0, WIDTH), ylim=(0, height), aspect="equal")
        self.ax.set_axis_off()

    def step(
        self,
        center: Point,
        label: str,
        note: str = "",
        *,
        size: Point = STEP_SIZE,
        color: str = NEUTRAL,
    ) -> Extent:
        """Draw a processing step: a rounded box that holds a label and a note."""
        extent = Extent.around(center, size)
        box = FancyBboxPatch(
            (extent.left + CORNER_RADIUS, extent.bottom + CORNER_RADIUS),
            size[0] - 2 * CORNER_RADIUS,
            size[1] - 2 * CORNER_RADIUS,
            boxstyle=f"round,pad={CORNER_RADIUS}",
            facecolor=_tint(color, 0.16),
            edgecolor=color,
            linewidth=1.1,
        )
        self.ax.add_patch(box)
        self.label((center[0], center[1] + 0.068 * (note.count("\n") + 1)), label)
        self.note((center[0], center[1] - 0.078), note)
        return extent

    def feature_map(self, center: Point, side: float, depth: float, color: str) -> Extent:
        """Draw a feature map as a cuboid. The front stands for the map size, the depth for the channels."""
        left, bottom, right, top = Extent.around(center, (side, side))
        back = np.array([depth, depth * DEPTH_SLOPE])
        front = np.array([(left, bottom), (right, bottom), (right, top), (left, top)])
        faces = [front, *([*edge, *(edge + back)[::-1]] for edge in (front[1:3], front[2:]))]
        for corners, share in zip(faces, (0.32, 0.72, 0.5), strict=True):
            self._polygon(corners, facecolor=_tint(color, share), edgecolor=color, linewidth=0.7)
        return Extent(left, bottom, right + back[0], top + back[1])

    def pyramid(self, center: Point, widths: Sequence[float], *, gap: float) -> Extent:
        """Draw an image pyramid in perspective, with one level per width, from bottom to top."""
        square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
        level = square @ [(1, 0), (0.22, 0.32)]  # sheared and flattened
        for number, width in enumerate(widths):
            corners, shade = center + width * level + [0, gap * number], 0.22 + 0.06 * number
            style = {"edgecolor": NEUTRAL, "linewidth": 0.8, "zorder": 2 + number}
            self._polygon(corners, facecolor=_tint(NEUTRAL, shade), **style)
        (left, bottom), (right, _) = center + widths[0] * np.array([level.min(0), level.max(0)])
        return Extent(left, bottom, right, center[1] + gap * len(widths))

    def scores(self, center: Point, note: str) -> Extent:
        """Draw a small score map with a note to the right of the map."""
        extent = Extent.around(center, (0.7, 0.7))
        x, y = np.linspace(extent[:2], extent[2:], len(PEAK) + 1).T
        style = {"vmin": 0, "vmax": 1, "edgecolor": "white", "linewidth": 0.4}
        self.ax.pcolormesh(x, y, 0.12 + 0.85 * PEAK, cmap=HEATMAP_COLORS, **style)
        self.note((extent.right + 0.1, center[1]), note, ha="left")
        return extent

    def photo(self, center: Point, size: Point, *, color: str = NEUTRAL) -> Extent:
        """Draw a photo as an icon: a frame with a house."""
        extent = Extent.around(center, size)
        frame = Rectangle(extent[:2], *size, facecolor="white", edgecolor=color, linewidth=0.9)
        self.ax.add_patch(frame)
        house = np.array([(0.28, 0.12), (0.28, 0.52), (0.5, 0.82), (0.72, 0.52), (0.72, 0.12)])
        ground = np.array([(0.1, 0.1), (0.9, 0.1), (0.9, 0.13), (0.1, 0.13)])
        for corners, share in ((house, 0.45), (ground, 1)):
            shade = {"facecolor": _tint(color, share), "edgecolor": "none"}
            self._polygon(corners * size + extent[:2], **shade)
        return extent

    def arrow(self, start: Point, end: Point, note: str = "", *, bent: bool = False) -> None:
        """Draw an arrow: straight, or (``bent``) first vertical and then horizontal."""
        arrow = FancyArrowPatch(
            start,
            end,
            connectionstyle="angle,angleA=90,angleB=0,rad=4" if bent else "arc3",
            arrowstyle="-|>,head_length=4,head_width=2.2",
            shrinkA=2.5,
            shrinkB=2.5,
            color=MUTED,
            linewidth=1.1,
        )
        self.ax.add_patch(arrow)
        self.note(((start[0] + end[0]) / 2, max(start[1], end[1]) + 0.09), note)

    def heading(self, y: float, title: str, note: str) -> None:
        """Write a title at the left edge and a note at the right edge of the figure."""
        self.label((MARGIN, y), title, ha="left")
        self.note((WIDTH - MARGIN, y), note, ha="right")

    def rule(self, y: float) -> None:
        """Draw a horizontal line that separates two parts of the diagram."""
        self.ax.plot([MARGIN, WIDTH - MARGIN], [y, y], color=NEUTRAL, linewidth=0.6, alpha=0.5)

    def label(self, position: Point, text: str, *, ha: str = "center") -> None:
        """Write a bold label at a position."""
        style = {"fontsize": LABEL_SIZE, "color": TEXT, "weight": "bold"}
        self.ax.text(*position, text, ha=ha, va="center", zorder=5, **style)

    def note(self, position: Point, text: str, *, ha: str = "center") -> None:
        """Write a small note of one or several lines. An empty text draws nothing."""
        style = {"fontsize": NOTE_SIZE, "color": MUTED, "linespacing": 1.25}
        if text:
            self.ax.text(*position, text, ha=ha, va="center", zorder=5, **style)

    def _polygon(self, corners: Sequence[Point] | np.ndarray, **style: object) -> None:
        self.ax.add_patch(Polygon(corners, **style))


def _tint(color: str, share: float) -> np.ndarray:
    """Mix a color with white. ``share`` is the fraction of the color, 0 to 1."""
    return share * np.array(to_rgb(color)) + (1 - share)
