"""The paper's diagrams, Fig. 1 (the system) and Fig. 4 (its training), drawn of the modules' own shapes.

Every number in them is traced by `delfjax.plots.network_shapes` or stands in a configuration.
"""

import re
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from delfjax.models.resnet import ResNetSpec
from delfjax.plots import diagrams
from delfjax.plots.base import BAD, COLORS, GOOD, HEAT, NEUTRAL, Drawing
from delfjax.plots.diagrams import Box, Point, arrow, aside, box, name
from delfjax.plots.network_shapes import Extraction, Part, Training
from delfjax.search.searcher import SearchConfig

DESCRIPTORS, ATTENTION, INDEX, GEOMETRY = COLORS  # what colors mean
CLASSIFIER = INDEX
STEP = (1.35, 0.64)  # inches: a box
TIMES = "\N{MULTIPLICATION SIGN}"


def fig1(shapes: Extraction, search: SearchConfig | None = None) -> Drawing:
    """Draw the system (Fig. 1): above, from a photo to its features; below, from a query to a ranking.

    Args:
        shapes: Of extraction, as `delfjax.plots.network_shapes.extraction` traces them, chosen by attention.
        search: How queries are answered.
    """
    figure, ax = diagrams.canvas(10, 5.5)
    maps = _dense(ax, shapes, y=3.75)
    _selection(ax, shapes, maps, y=3.75)
    _rule(ax, 2.7)
    _retrieval(ax, search or SearchConfig(), y=0.85)
    return figure


def _dense(ax: Axes, shapes: Extraction, y: float) -> Box:
    """Draw the pyramid, the network and its map; return the map's place."""
    levels, field = shapes.levels, shapes.receptive_field
    _heading(ax, y + 1.6, "From a photo to its features", "Secs. 4.1 to 4.3")
    height, width = shapes.photo
    sizes = [1.25 * level.size[1] / levels[-1].size[1] for level in reversed(levels)]
    cards = diagrams.pyramid(ax, (0.95, y), sizes, height / width, gap=0.13, color=NEUTRAL)
    scales = f"{len(levels)} scales, {levels[0].scale:g} to {levels[-1].scale:g}"
    aside(ax, (0.95, y - 0.5), f"photo {_by(shapes.photo)}\n{scales}")
    seen = f"to conv4: stride {field.stride},\nreceptive field {field.size}"
    network = box(ax, (2.7, y), (1.4, 0.8), _called(shapes.spec), seen, color=DESCRIPTORS)
    arrow(ax, (cards.right, y), network.west)
    maps = diagrams.slab(ax, (4.15, y), (0.5, 0.62), 0.34, color=DESCRIPTORS)
    arrow(ax, network.east, (maps.left, y))
    one = min(levels, key=lambda level: abs(level.scale - 1))
    shown = f"{_by(one.conv4)} at scale {one.scale:g}\n{shapes.cells:,} cells in all"
    aside(ax, (4.3, y - 0.55), shown)
    return maps


def _selection(ax: Axes, shapes: Extraction, maps: Box, y: float) -> None:
    """Draw how the best descriptors are chosen and reduced."""
    up, channels = y + 1.05, shapes.levels[0].conv4[-1]
    layers = f"1{TIMES}1: {channels} to {shapes.hidden} to 1,\nsoftplus"
    head = box(ax, (5.55, up), (1.5, 0.74), "attention", layers, color=ATTENTION)
    arrow(ax, (4.3, maps.top), head.west, bent=True)
    scores = diagrams.grid(ax, (7.1, up), _bump(6, 8), 0.1, cmap=HEAT)
    arrow(ax, head.east, scores.west)
    aside(ax, (scores.right + 0.1, up), "a score\na cell", ha="left")
    count = f"{shapes.features:,}"
    best = box(ax, (7.1, y), STEP, f"best {count}", "keypoints by score", color=ATTENTION)
    arrow(ax, (maps.right, y), best.west, "descriptors")
    arrow(ax, scores.south, best.north)
    reduced = f"PCA {shapes.dimensions}"
    pca = box(ax, (8.95, y), STEP, reduced, "L2 before and after", color=DESCRIPTORS)
    arrow(ax, best.east, pca.west)
    vectors = diagrams.grid(ax, (8.95, y - 0.72), _noise(3, 11), 0.09, cmap="Blues")
    arrow(ax, pca.south, vectors.north)
    size = f"{count} {TIMES} {shapes.dimensions}"
    aside(ax, (vectors.left - 0.08, y - 0.72), size, ha="right")


def _retrieval(ax: Axes, search: SearchConfig, y: float) -> None:
    up, down = y + 0.95, y - 0.25
    _heading(ax, y + 1.6, "From a query to a ranking", "Sec. 4.4")
    nearest = _neighbors(ax, search, up, down)
    votes = box(ax, (5.15, down), STEP, "votes", "matches by photo", color=INDEX)
    diagrams.bars(ax, (5.15, up), (0.9, 0.62, 0.5, 0.33, 0.2), color=INDEX)
    checked = f"affine RANSAC,\nbest {search.verified} photos"
    verified = box(ax, (7.0, down), (1.35, 0.78), "verification", checked, color=GEOMETRY)
    _matches(ax, (7.0, up))
    ranked = box(ax, (8.95, down), STEP, "ranking", "by inliers", color=GEOMETRY)
    for number, length in enumerate((0.75, 0.5, 0.15)):
        height = up + 0.33 - 0.33 * number
        diagrams.photo(ax, (8.6, height), (0.38, 0.28), color=GEOMETRY)
        diagrams.bars(ax, (8.9 + length / 2, height), [length], color=GEOMETRY)
    for one, other in pairwise((nearest, votes, verified, ranked)):
        arrow(ax, one.east, other.west)


def _neighbors(ax: Axes, search: SearchConfig, up: float, down: float) -> Box:
    """Draw database, query, and where their features meet; return the last step's place."""
    for number in range(3):
        there = diagrams.photo(ax, (0.62 + 0.09 * number, up + 0.09 - 0.09 * number), (0.72, 0.54))
    aside(ax, (0.7, up - 0.5), "database")
    asked = diagrams.photo(ax, (0.7, down), (0.72, 0.54), color=diagrams.INK)
    aside(ax, (0.7, down - 0.4), "query")
    a_feature = f"{search.neighbors} a feature"
    index = box(ax, (3.3, up), STEP, "index", "exact, or a graph", color=INDEX)
    nearest = box(ax, (3.3, down), STEP, "neighbors", a_feature, color=INDEX)
    for height, picture, step in ((up, there, index), (down, asked, nearest)):
        vectors = diagrams.grid(ax, (1.9, height), _noise(3, 5), 0.09, cmap="Blues")
        arrow(ax, (picture.right, height), vectors.west)
        arrow(ax, vectors.east, step.west)
    arrow(ax, index.south, nearest.north)
    return nearest


def _matches(ax: Axes, center: Point) -> None:
    """Draw two photos, of which some points agree and some do not."""
    x, y = center
    diagrams.photo(ax, (x - 0.48, y), (0.62, 0.5), color=diagrams.INK)
    diagrams.photo(ax, (x + 0.48, y + 0.08), (0.62, 0.5))
    points = np.array([(-0.02, 0.1), (-0.1, -0.02), (0.08, 0.0), (-0.08, -0.16), (0.1, -0.17)])
    here, there = points + (x - 0.48, y), points + (x + 0.48, y + 0.08)
    astray = (x + 0.7, y + 0.24)
    ax.plot(*zip(here[0] + (0.2, 0.1), astray, strict=True), color=BAD, lw=0.8, ls=":", zorder=4)
    for one, other in zip(here, there, strict=True):
        ax.plot(*zip(one, other, strict=True), ".-", color=GOOD, lw=0.9, ms=3.5, zorder=4)


def fig4(finetune: Training, attention: Training) -> Drawing:
    """Draw the two steps of training (Fig. 4).

    What is colored moves; what is gray is frozen, or has no parameters.

    Args:
        finetune: Step 1, as `delfjax.plots.network_shapes.training` traces it.
        attention: Step 2.
    """
    figure, ax = diagrams.canvas(10, 5.6)
    _step(ax, finetune, "(a) Descriptors are fine-tuned", y=4.35)
    _rule(ax, 3.1)
    _step(ax, attention, "(b) Attention is learned on top of them", y=1.05)
    return figure


def _step(ax: Axes, shapes: Training, title: str, y: float) -> None:
    settings, scored = shapes.config.network, "scores" in shapes.maps
    moved, whole = np.sum([(part.trained, part.parameters) for part in shapes.parts.values()], 0)
    counts = f"{moved / 1e6:.1f} of {whole / 1e6:.1f} million parameters move"
    _heading(ax, y + (1.75 if scored else 1.0), title, counts)
    maps = _backbone(ax, shapes, y)
    unit = settings.normalize if scored else settings.normalize_descriptors
    pool, of = f"weighted {settings.reduction}" if scored else "mean", "unit vectors"
    pooled = box(ax, (6.35, y), STEP, pool, f"of {of if unit else 'descriptors'}")
    arrow(ax, (maps.right, y), pooled.west)
    if scored:
        _scores(ax, shapes, maps, pooled)
    kind, (channels, classes) = shapes.classifier
    part, sizes = shapes.parts[f"{kind}_classifier"], f"{channels} to {classes}"
    classifier = box(ax, (7.95, y), STEP, "classifier", sizes, color=_color(part, CLASSIFIER))
    aside(ax, (7.95, classifier.bottom - 0.17), _moved(part))
    loss = box(ax, (9.35, y), (1.05, STEP[1]), "softmax", "cross-entropy")
    arrow(ax, pooled.east, classifier.west)
    arrow(ax, classifier.east, loss.west)


def _backbone(ax: Axes, shapes: Training, y: float) -> Box:
    """Draw the photo and what each stage makes of it; return the last one's place."""
    first, *others = shapes.sides
    place = diagrams.photo(ax, (0.6, y), (0.8, 0.8), color=diagrams.INK)
    scaled = textwrap.fill(f"or {', '.join(map(str, others))}", 14) if others else ""
    said = f"{_by((first, first))}\n{scaled}".strip()
    aside(ax, (0.6, y - 0.62 - 0.06 * said.count("\n")), said)
    stages = [stage for stage in shapes.maps if stage != "scores"]
    for stage, x in zip(stages, (1.55, 2.6, 3.65, 4.7), strict=True):
        side, _, channels = shapes.maps[stage]
        front = 1.05 * (side / first) ** 0.5
        color = _color(shapes.parts[stage], DESCRIPTORS)
        depth = 0.07 * (np.log2(channels) - 3)
        slab = diagrams.slab(ax, (x, y), (front, front), depth, color=color)
        arrow(ax, (place.right, y), (slab.left, y))
        name(ax, (x + depth / 2, y - 0.55), stage)
        said = f"{_by(shapes.maps[stage])}\n{_moved(shapes.parts[stage])}"
        aside(ax, (x + depth / 2, y - 0.8), said)
        place = slab
    return place


def _scores(ax: Axes, shapes: Training, maps: Box, pooled: Box) -> None:
    """Draw the branch of attention, from the descriptors to their weights."""
    part, x, up = shapes.parts["attention"], pooled.north[0], pooled.top + 0.8
    left = (maps.left + maps.right) / 2
    color = _color(part, ATTENTION)
    head = box(ax, (left, up), STEP, "attention", _moved(part), color=color)
    arrow(ax, (left, maps.top), head.south)
    scores = diagrams.grid(ax, (x, up), _bump(6, 6), 0.1, cmap=HEAT)
    arrow(ax, head.east, scores.west)
    arrow(ax, scores.south, pooled.north)
    aside(ax, (scores.right + 0.1, up), f"{_by(shapes.maps['scores'])}\nscores", ha="left")


def _heading(ax: Axes, y: float, words: str, beside: str) -> None:
    name(ax, (0.1, y), words, ha="left")
    aside(ax, (9.9, y), beside, ha="right")


def _rule(ax: Axes, y: float) -> None:
    ax.plot([0.1, 9.9], [y, y], color=NEUTRAL, linewidth=0.6, alpha=0.5)


def _called(spec: ResNetSpec) -> str:
    return re.sub("resnet_?", "ResNet-", spec.name).replace("_", " ")


def _color(part: Part, color: str) -> str:
    return color if part.trained else NEUTRAL


def _moved(part: Part) -> str:
    if not part.trained:
        return "frozen"
    size, unit = (1e6, "M") if part.trained > 1e5 else (1e3, "k")
    return f"{part.trained / size:.1f} {unit} trained"


def _by(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _bump(rows: int, columns: int) -> Float[np.ndarray, "y x"]:
    """Return scores as attention gives them: high on one thing."""
    y, x = np.mgrid[:rows, :columns]
    return 0.12 + 0.85 * np.exp(-((y - 0.5 * rows) ** 2 / 4 + (x - 0.45 * columns) ** 2 / 6))


def _noise(rows: int, columns: int) -> Float[np.ndarray, "y x"]:
    return np.random.default_rng(0).uniform(0.15, 0.85, (rows, columns))
