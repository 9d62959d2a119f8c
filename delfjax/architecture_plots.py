"""The paper's diagrams, Fig. 1 (the system) and Fig. 4 (its training), drawn of the modules' own shapes.

Every number in them is traced by `delfjax.architecture` or stands in a configuration.
"""

import re
import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from delfjax import diagrams
from delfjax.architecture import Extraction, Part, Training
from delfjax.diagrams import Box, Point, arrow, box, text
from delfjax.plots import BAD, COLOURS, GOOD, HEAT, NEUTRAL, Drawing
from delfjax.resnet import ResNetSpec
from delfjax.search import SearchConfig

DESCRIPTORS, ATTENTION, INDEX, GEOMETRY = COLOURS  # what colours mean
CLASSIFIER = INDEX
TIMES = "\N{MULTIPLICATION SIGN}"


def fig1(shapes: Extraction, search: SearchConfig | None = None) -> Drawing:
    """Draw the system (Fig. 1): above, from a photo to its features; below, from a query to a ranking.

    Args:
        shapes: Of extraction, as `delfjax.architecture.extraction` traces them.
        search: How queries are answered.
    """
    figure, ax = diagrams.canvas(10, 5.5)
    _extraction(ax, shapes, y=3.75)
    ax.plot([0.1, 9.9], [2.7, 2.7], color=NEUTRAL, linewidth=0.6, alpha=0.5)
    _retrieval(ax, shapes, search or SearchConfig(), y=0.85)
    return figure


def _extraction(ax: Axes, shapes: Extraction, y: float) -> None:
    levels, field, spec = shapes.levels, shapes.receptive_field, shapes.spec
    _heading(ax, y + 1.6, "From a photo to its features", "Secs. 4.1 to 4.3")
    height, width = shapes.photo
    sizes = [1.25 * level.size[1] / levels[-1].size[1] for level in reversed(levels)]
    cards = diagrams.pyramid(ax, (0.95, y), sizes, height / width, gap=0.13, colour=NEUTRAL)
    scales = f"{len(levels)} scales, {levels[0].scale:g} to {levels[-1].scale:g}"
    text(ax, (0.95, y - 0.5), f"photo {_by(shapes.photo)}\n{scales}", quiet=True)

    seen = f"to conv4: stride {field.stride},\nreceptive field {field.size}"
    network = box(ax, (2.7, y), (1.4, 0.8), _called(spec), seen, colour=DESCRIPTORS)
    arrow(ax, (cards.right, y), network.west)
    at_one = min(levels, key=lambda level: abs(level.scale - 1))
    maps = diagrams.slab(ax, (4.15, y), (0.5, 0.62), 0.34, colour=DESCRIPTORS)
    arrow(ax, network.east, (maps.left, y))
    shape = _by(at_one.conv4)
    text(
        ax,
        (4.3, y - 0.55),
        f"{shape} at scale {at_one.scale:g}\n{shapes.cells:,} cells in all",
        quiet=True,
    )

    up = y + 1.05
    layers = f"1{TIMES}1: {at_one.conv4[-1]} to {shapes.hidden} to 1,\nsoftplus"
    head = box(ax, (5.55, up), (1.5, 0.74), "attention", layers, colour=ATTENTION)
    arrow(ax, (4.3, maps.top), head.west, bend="|-")
    scores = diagrams.grid(ax, (7.1, up), _bump(6, 8), 0.1, cmap=HEAT)
    arrow(ax, head.east, scores.west)
    text(ax, (scores.right + 0.1, up), "a score\na cell", quiet=True, ha="left")
    best = box(
        ax,
        (7.1, y),
        (1.35, 0.62),
        f"best {shapes.features:,}",
        "keypoints by score",
        colour=ATTENTION,
    )
    arrow(ax, (maps.right, y), best.west, "descriptors")
    arrow(ax, scores.south, best.north)
    reduced = f"PCA {shapes.dimensions}"
    pca = box(ax, (8.95, y), (1.3, 0.62), reduced, "L2 before and after", colour=DESCRIPTORS)
    arrow(ax, best.east, pca.west)
    vectors = diagrams.grid(ax, (8.95, y - 0.72), _noise(3, 11), 0.09, cmap="Blues")
    arrow(ax, pca.south, vectors.north)
    text(
        ax,
        (vectors.left - 0.08, y - 0.72),
        f"{shapes.features:,} {TIMES} {shapes.dimensions}",
        quiet=True,
        ha="right",
    )


def _retrieval(ax: Axes, shapes: Extraction, search: SearchConfig, y: float) -> None:
    up, down = y + 0.95, y - 0.25
    _heading(ax, y + 1.6, "From a query to a ranking", "Sec. 4.4")
    for number in range(3):
        there = diagrams.photo(ax, (0.62 + 0.09 * number, up + 0.09 - 0.09 * number), (0.72, 0.54))
    text(ax, (0.7, up - 0.5), "database", quiet=True)
    asked = diagrams.photo(ax, (0.7, down), (0.72, 0.54), colour=diagrams.INK)
    text(ax, (0.7, down - 0.4), "query", quiet=True)
    titles = {
        up: ("index", "exact, or a graph"),
        down: ("neighbours", f"{search.neighbours} a feature"),
    }
    steps = {}
    for height, picture in ((up, there), (down, asked)):
        vectors = diagrams.grid(ax, (1.9, height), _noise(3, 5), 0.09, cmap="Blues")
        steps[height] = box(ax, (3.3, height), (1.35, 0.62), *titles[height], colour=INDEX)
        arrow(ax, (picture.right, height), vectors.west)
        arrow(ax, vectors.east, steps[height].west)
    arrow(ax, steps[up].south, steps[down].north)

    votes = box(ax, (5.15, down), (1.35, 0.62), "votes", "matches by photo", colour=INDEX)
    diagrams.bars(ax, (5.15, up), (0.9, 0.62, 0.5, 0.33, 0.2), colour=INDEX)
    checked = f"affine RANSAC,\nbest {search.verified} photos"
    verified = box(ax, (7.0, down), (1.35, 0.78), "verification", checked, colour=GEOMETRY)
    _matches(ax, (7.0, up))
    ranked = box(ax, (8.95, down), (1.35, 0.62), "ranking", "by inliers", colour=GEOMETRY)
    for number, length in enumerate((0.75, 0.5, 0.15)):
        height = up + 0.33 - 0.33 * number
        diagrams.photo(ax, (8.6, height), (0.38, 0.28), colour=GEOMETRY)
        diagrams.bars(ax, (8.9 + length / 2, height), [length], colour=GEOMETRY)
    for one, other in ((steps[down], votes), (votes, verified), (verified, ranked)):
        arrow(ax, one.east, other.west)


def _matches(ax: Axes, centre: Point) -> None:
    """Draw two photos, of which some points agree and some do not."""
    x, y = centre
    diagrams.photo(ax, (x - 0.48, y), (0.62, 0.5), colour=diagrams.INK)
    diagrams.photo(ax, (x + 0.48, y + 0.08), (0.62, 0.5))
    points = np.array([(-0.02, 0.1), (-0.1, -0.02), (0.08, 0.0), (-0.08, -0.16), (0.1, -0.17)])
    here, there = points + (x - 0.48, y), points + (x + 0.48, y + 0.08)
    astray = (x + 0.7, y + 0.24)
    ax.plot(*zip(here[0] + (0.2, 0.1), astray, strict=True), color=BAD, lw=0.8, ls=":", zorder=4)
    for one, other in zip(here, there, strict=True):
        ax.plot(*zip(one, other, strict=True), ".-", color=GOOD, lw=0.9, ms=3.5, zorder=4)


def _heading(ax: Axes, y: float, words: str, section: str) -> None:
    text(ax, (0.1, y), words, weight="bold", ha="left")
    text(ax, (9.9, y), section, quiet=True, ha="right")


def _called(spec: ResNetSpec) -> str:
    return re.sub("resnet_?", "ResNet-", spec.name).replace("_", " ")


def fig4(finetune: Training, attention: Training) -> Drawing:
    """Draw the two steps of training (Fig. 4): what is coloured moves, what is grey is frozen.

    Args:
        finetune: Step 1, as `delfjax.architecture.training` traces it.
        attention: Step 2.
    """
    figure, ax = diagrams.canvas(10, 5.6)
    _step(ax, finetune, "(a) Descriptors are fine-tuned", y=4.35)
    ax.plot([0.1, 9.9], [3.1, 3.1], color=NEUTRAL, linewidth=0.6, alpha=0.5)
    _step(ax, attention, "(b) Attention is learnt on top of them", y=1.05)
    return figure


def _step(ax: Axes, shapes: Training, title: str, y: float) -> None:
    config, (name, (channels, classes)) = shapes.config.network, shapes.classifier
    moved, whole = (
        sum(column)
        for column in zip(*((p.trained, p.parameters) for p in shapes.parts.values()), strict=True)
    )
    with_scores = "scores" in shapes.maps
    _heading(
        ax,
        y + (1.75 if with_scores else 1.0),
        title,
        f"{moved / 1e6:.1f} of {whole / 1e6:.1f} million parameters move",
    )
    maps = _backbone(ax, shapes, y)
    normalised = config.normalise if with_scores else config.normalise_descriptors
    pool = ("weighted " if with_scores else "") + (config.reduction if with_scores else "mean")
    pooled = box(
        ax, (6.35, y), (1.25, 0.66), pool, "of unit vectors" if normalised else "of descriptors"
    )
    arrow(ax, (maps.right, y), pooled.west)
    if with_scores:
        _scores(ax, shapes, maps, pooled)
    part = shapes.parts[f"{name}_classifier"]
    classifier = box(
        ax,
        (7.9, y),
        (1.25, 0.66),
        "classifier",
        f"{channels} to {classes}",
        colour=_colour(part, CLASSIFIER),
    )
    text(ax, (7.9, classifier.bottom - 0.17), _moved(part), quiet=True)
    loss = box(ax, (9.3, y), (1.05, 0.66), "softmax", "cross-entropy")
    arrow(ax, pooled.east, classifier.west)
    arrow(ax, classifier.east, loss.west)


def _backbone(ax: Axes, shapes: Training, y: float) -> Box:
    """Draw the photo and what each stage makes of it; return the last one's place."""
    first, *others = shapes.sides
    place = diagrams.photo(ax, (0.6, y), (0.8, 0.8), colour=diagrams.INK)
    scaled = textwrap.fill(f"or {', '.join(map(str, others))}", 14) if others else ""
    said = f"{_by((first, first))}\n{scaled}".strip()
    text(ax, (0.6, y - 0.62 - 0.06 * said.count("\n")), said, quiet=True)
    stages = [name for name in shapes.maps if name != "scores"]
    for name, x in zip(stages, (1.55, 2.6, 3.65, 4.7), strict=True):
        side, _, channels = shapes.maps[name]
        front = 1.05 * (side / first) ** 0.5
        colour = _colour(shapes.parts[name], DESCRIPTORS)
        depth = 0.07 * (np.log2(channels) - 3)
        slab = diagrams.slab(ax, (x, y), (front, front), depth, colour=colour)
        arrow(ax, (place.right, y), (slab.left, y))
        text(ax, (x + depth / 2, y - 0.55), name)
        said = f"{_by(shapes.maps[name])}\n{_moved(shapes.parts[name])}"
        text(ax, (x + depth / 2, y - 0.8), said, quiet=True)
        place = slab
    return place


def _scores(ax: Axes, shapes: Training, maps: Box, pooled: Box) -> None:
    """Draw the branch of attention, from the descriptors to their weights."""
    part, x, up = shapes.parts["attention"], pooled.north[0], pooled.top + 0.8
    left = (maps.left + maps.right) / 2
    head = box(
        ax, (left, up), (1.35, 0.66), "attention", _moved(part), colour=_colour(part, ATTENTION)
    )
    arrow(ax, (left, maps.top), head.south)
    scores = diagrams.grid(ax, (x, up), _bump(6, 6), 0.1, cmap=HEAT)
    arrow(ax, head.east, scores.west)
    arrow(ax, scores.south, pooled.north)
    text(
        ax, (scores.right + 0.1, up), f"{_by(shapes.maps['scores'])}\nscores", quiet=True, ha="left"
    )


def _colour(part: Part, colour: str) -> str:
    return colour if part.trained else NEUTRAL


def _moved(part: Part) -> str:
    if not part.trained:
        return "frozen"
    return (
        f"{part.trained / 1e6:.1f} M trained"
        if part.trained > 1e5
        else f"{part.trained / 1e3:.0f} k trained"
    )


def _by(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _bump(rows: int, columns: int) -> Float[np.ndarray, "y x"]:
    """Return scores as attention gives them: high on one thing."""
    y, x = np.mgrid[:rows, :columns]
    return 0.12 + 0.85 * np.exp(-((y - 0.5 * rows) ** 2 / 4 + (x - 0.45 * columns) ** 2 / 6))


def _noise(rows: int, columns: int) -> Float[np.ndarray, "y x"]:
    return np.random.default_rng(0).uniform(0.15, 0.85, (rows, columns))
