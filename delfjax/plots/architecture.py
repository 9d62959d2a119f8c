"""Diagrams of the system (Fig. 1) and of its training (Fig. 4).

Every number in them is traced by `delfjax.plots.network_shapes` or comes from a configuration.
"""

import re
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from delfjax.features.pca import PAPER_DIMENSIONS
from delfjax.models.attention import HIDDEN_CHANNELS
from delfjax.models.resnet import ResNetSpec
from delfjax.plots import diagrams
from delfjax.plots.base import COLORS, HEATMAP_COLORS, NEUTRAL, TEXT, Figure
from delfjax.plots.diagrams import Extent, draw_arrow, draw_label, draw_note, draw_step
from delfjax.plots.network_shapes import ExtractionShapes, ParameterCount, TrainingShapes
from delfjax.search.searcher import SearchConfig

DESCRIPTOR_COLOR, ATTENTION_COLOR, SEARCH_COLOR, GEOMETRY_COLOR = COLORS
CLASSIFIER_COLOR = SEARCH_COLOR
STEP_SIZE = (1.35, 0.64)  # inches
MARGIN, WIDTH = 0.1, 10  # inches
TIMES = "\N{MULTIPLICATION SIGN}"


def system_diagram(shapes: ExtractionShapes, search: SearchConfig | None = None) -> Figure:
    """Draw the system (Fig. 1): feature extraction above, retrieval below.

    Args:
        shapes: Shapes of extraction, from `trace_extraction`.
        search: Settings of the search. None: the defaults.
    """
    figure, ax = diagrams.create_canvas(WIDTH, 4.9)
    maps = _draw_dense_extraction(ax, shapes, y=3.25)
    _draw_selection(ax, shapes, maps, y=3.25)
    _draw_rule(ax, 2.2)
    _draw_retrieval(ax, search or SearchConfig(), y=0.45)
    return figure


def training_diagram(finetune: TrainingShapes, attention: TrainingShapes) -> Figure:
    """Draw the two steps of training (Fig. 4).

    Trained parts are colored. Gray parts are frozen or have no parameters.

    Args:
        finetune: Shapes of step 1, from `trace_training`.
        attention: Shapes of step 2, from `trace_training`.
    """
    figure, ax = diagrams.create_canvas(WIDTH, 5.6)
    _draw_training_step(ax, finetune, "(a) Step 1: descriptors are fine-tuned", y=4.35)
    _draw_rule(ax, 3.1)
    _draw_training_step(ax, attention, "(b) Step 2: attention is learned", y=1.05)
    return figure


def _draw_dense_extraction(ax: Axes, shapes: ExtractionShapes, y: float) -> Extent:
    """Draw image pyramid, backbone and conv4 map; return the extent of the map."""
    levels, field = shapes.levels, shapes.receptive_field
    _draw_heading(ax, y + 1.5, "From a photo to its features", "Secs. 4.1 to 4.3")
    widths = [1.25 * level.size[1] / levels[-1].size[1] for level in reversed(levels)]
    pyramid = diagrams.draw_pyramid(ax, (0.95, y), widths, gap=0.13, color=NEUTRAL)
    scales = f"{len(levels)} scales, {levels[0].scale:g} to {levels[-1].scale:g}"
    draw_note(ax, (0.95, y - 0.5), f"photo {_join(shapes.photo)} px\n{scales}")
    note = f"to conv4: stride {field.stride},\nreceptive field {field.size} px"
    name = _display_name(shapes.spec)
    backbone = draw_step(ax, (2.7, y), (1.4, 0.8), name, note, color=DESCRIPTOR_COLOR)
    draw_arrow(ax, (pyramid.right, y), backbone.west)
    maps = diagrams.draw_feature_map(ax, (4.15, y), 0.56, 0.34, color=DESCRIPTOR_COLOR)
    draw_arrow(ax, backbone.east, (maps.left, y))
    original = min(levels, key=lambda level: abs(level.scale - 1))
    note = f"{_join(original.conv4)} at scale {original.scale:g}\n{shapes.cells:,} cells in all"
    draw_note(ax, (4.3, y - 0.55), note)
    return maps


def _draw_selection(ax: Axes, shapes: ExtractionShapes, maps: Extent, y: float) -> None:
    """Draw attention, selection and PCA."""
    upper, channels = y + 1.05, shapes.levels[0].conv4[-1]
    note = f"1{TIMES}1: {channels} to {HIDDEN_CHANNELS} to 1,\nsoftplus"
    head = draw_step(ax, (5.55, upper), (1.5, 0.74), "attention", note, color=ATTENTION_COLOR)
    draw_arrow(ax, (4.3, maps.top), head.west, bent=True)
    scores = diagrams.draw_cells(ax, (7.1, upper), _peak(6, 8), 0.1, cmap=HEATMAP_COLORS)
    draw_arrow(ax, head.east, scores.west)
    draw_note(ax, (scores.right + 0.1, upper), "one score\nper cell", ha="left")
    count = f"{shapes.features:,}"
    best = draw_step(
        ax, (7.1, y), STEP_SIZE, f"best {count}", "cells by score", color=ATTENTION_COLOR
    )
    draw_arrow(ax, (maps.right, y), best.west, "descriptors")
    draw_arrow(ax, scores.south, best.north)
    title, note = f"PCA to {PAPER_DIMENSIONS}", "L2 before and after"
    pca = draw_step(ax, (8.95, y), STEP_SIZE, title, note, color=DESCRIPTOR_COLOR)
    draw_arrow(ax, best.east, pca.west)
    draw_note(ax, (8.95, y - 0.5), f"features, {count} {TIMES} {PAPER_DIMENSIONS}")


def _draw_retrieval(ax: Axes, search: SearchConfig, y: float) -> None:
    upper = y + 0.95
    _draw_heading(ax, y + 1.55, "From a query to a ranking", "Sec. 4.4")
    for offset in (0, 0.09, 0.18):
        database = diagrams.draw_photo_icon(ax, (0.62 + offset, upper + 0.09 - offset), (0.6, 0.45))
    draw_note(ax, (0.7, upper - 0.42), "database")
    query = diagrams.draw_photo_icon(ax, (0.7, y), (0.6, 0.45), color=TEXT)
    draw_note(ax, (0.7, y - 0.35), "query")
    index = draw_step(ax, (3.3, upper), STEP_SIZE, "index", "exact, or a graph", color=SEARCH_COLOR)
    note = f"{search.neighbors} per feature"
    nearest = draw_step(ax, (3.3, y), STEP_SIZE, "neighbors", note, color=SEARCH_COLOR)
    for photo, step in ((database, index), (query, nearest)):
        draw_arrow(ax, (photo.right, step.west[1]), step.west, "features")
    draw_arrow(ax, index.south, nearest.north)
    votes = draw_step(ax, (5.15, y), STEP_SIZE, "votes", "matches per photo", color=SEARCH_COLOR)
    note = f"affine RANSAC,\nbest {search.verified} photos"
    verified = draw_step(ax, (7.0, y), (1.35, 0.78), "verification", note, color=GEOMETRY_COLOR)
    ranked = draw_step(ax, (8.95, y), STEP_SIZE, "ranking", "by inliers", color=GEOMETRY_COLOR)
    for step, following in pairwise((nearest, votes, verified, ranked)):
        draw_arrow(ax, step.east, following.west)


def _draw_training_step(ax: Axes, shapes: TrainingShapes, title: str, y: float) -> None:
    settings, attentive = shapes.config.network, "scores" in shapes.maps
    total, trained = np.sum([*shapes.parameters.values()], 0) / 1e6
    counts = f"{trained:.1f} of {total:.1f} million parameters are trained"
    _draw_heading(ax, y + (1.75 if attentive else 1.0), title, counts)
    maps = _draw_stages(ax, shapes, y)
    unit = settings.normalize_weighted if attentive else settings.normalize_average
    pool = f"weighted {settings.pooling}" if attentive else "mean"
    note = "of unit descriptors" if unit else "of descriptors"
    pooled = draw_step(ax, (6.35, y), STEP_SIZE, pool, note)
    draw_arrow(ax, (maps.right, y), pooled.west)
    if attentive:
        _draw_attention(ax, shapes, maps, pooled)
    parameters = [*shapes.parameters.values()][-1]
    note, color = f"{shapes.channels} to {shapes.classes}", _color(parameters, CLASSIFIER_COLOR)
    classifier = draw_step(ax, (7.95, y), STEP_SIZE, "classifier", note, color=color)
    draw_note(ax, (7.95, classifier.bottom - 0.17), _describe(parameters))
    loss = draw_step(ax, (9.35, y), (1.05, STEP_SIZE[1]), "softmax", "cross-entropy")
    draw_arrow(ax, pooled.east, classifier.west)
    draw_arrow(ax, classifier.east, loss.west)


def _draw_stages(ax: Axes, shapes: TrainingShapes, y: float) -> Extent:
    """Draw the photo and the output of each backbone stage; return the extent of the last one."""
    first, *others = shapes.sides
    extent = diagrams.draw_photo_icon(ax, (0.6, y), (0.8, 0.8), color=TEXT)
    smaller = textwrap.fill(f"or {', '.join(map(str, others))}", 14) if others else ""
    note = f"{_join((first, first))}\n{smaller}".strip()
    draw_note(ax, (0.6, y - 0.62 - 0.06 * note.count("\n")), note)
    stages = [stage for stage in shapes.maps if stage != "scores"]
    # With conv5 there are five stages; they share the same room.
    for stage, x in zip(stages, np.linspace(1.55, 4.7, len(stages)), strict=True):
        side, _, channels = shapes.maps[stage]
        color = _color(shapes.parameters[stage], DESCRIPTOR_COLOR)
        depth = 0.07 * (np.log2(channels) - 3)
        front = 1.05 * (side / first) ** 0.5
        feature_map = diagrams.draw_feature_map(ax, (x, y), front, depth, color=color)
        draw_arrow(ax, (extent.right, y), (feature_map.left, y))
        draw_label(ax, (x + depth / 2, y - 0.55), stage)
        note = f"{_join(shapes.maps[stage])}\n{_describe(shapes.parameters[stage])}"
        draw_note(ax, (x + depth / 2, y - 0.8), note)
        extent = feature_map
    return extent


def _draw_attention(ax: Axes, shapes: TrainingShapes, maps: Extent, pooled: Extent) -> None:
    """Draw the attention branch, from descriptors to weights."""
    parameters, upper = shapes.parameters["attention"], pooled.top + 0.8
    x, color = maps.north[0], _color(parameters, ATTENTION_COLOR)
    head = draw_step(ax, (x, upper), STEP_SIZE, "attention", _describe(parameters), color=color)
    draw_arrow(ax, (x, maps.top), head.south)
    center = pooled.north[0], upper
    scores = diagrams.draw_cells(ax, center, _peak(6, 6), 0.1, cmap=HEATMAP_COLORS)
    draw_arrow(ax, head.east, scores.west)
    draw_arrow(ax, scores.south, pooled.north)
    note = f"{_join(shapes.maps['scores'])}\nscores"
    draw_note(ax, (scores.right + 0.1, upper), note, ha="left")


def _draw_heading(ax: Axes, y: float, title: str, note: str) -> None:
    draw_label(ax, (MARGIN, y), title, ha="left")
    draw_note(ax, (WIDTH - MARGIN, y), note, ha="right")


def _draw_rule(ax: Axes, y: float) -> None:
    ax.plot([MARGIN, WIDTH - MARGIN], [y, y], color=NEUTRAL, linewidth=0.6, alpha=0.5)


def _display_name(spec: ResNetSpec) -> str:
    return re.sub("resnet_?", "ResNet-", spec.name).replace("_", " ")


def _color(parameters: ParameterCount, color: str) -> str:
    return color if parameters.trained else NEUTRAL


def _describe(parameters: ParameterCount) -> str:
    if not parameters.trained:
        return "frozen"
    size, unit = (1e6, "M") if parameters.trained > 1e5 else (1e3, "k")
    return f"{parameters.trained / size:.1f} {unit} trained"


def _join(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _peak(rows: int, columns: int) -> Float[np.ndarray, "y x"]:
    """Return example attention scores with one peak."""
    y, x = np.mgrid[:rows, :columns]
    return 0.12 + 0.85 * np.exp(-((y - 0.5 * rows) ** 2 / 4 + (x - 0.45 * columns) ** 2 / 6))
