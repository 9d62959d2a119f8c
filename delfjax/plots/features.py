"""Figures of local features on photos: keypoints, receptive fields and matches."""

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from delfjax.features.pyramid import PAPER_SCALES
from delfjax.plots.base import COLORS, Figure, RgbImage, draw_photo, photos, subplots
from delfjax.plots.match_images import pair_image
from delfjax.search.matching import PairMatch
from delfjax.types import Features, Matches, Photo

BRIGHTNESS = 0.75  # of the photo under keypoints, so that they stand out
RING_AREA = 14  # of a keypoint of scale 1, in square points


def keypoints(
    photo: Photo, features: Features, *, max_keypoints: int = 300, title: str | None = None
) -> Figure:
    """Draw the best keypoints as rings; keypoints of coarser pyramid levels are larger and lighter.

    Args:
        photo: The photo.
        features: Its features, best first.
        max_keypoints: Maximum number of keypoints to draw.
        title: Title. None: the number of keypoints.
    """
    best = features[:max_keypoints]
    figure, ax = _darkened(photo, f"the {len(best)} best keypoints" if title is None else title)
    norm, colors = LogNorm(min(PAPER_SCALES), max(PAPER_SCALES)), mpl.colormaps["viridis_r"]
    ax.scatter(
        *best.positions.T[::-1],
        s=RING_AREA / best.scales,
        facecolors="none",
        edgecolors=colors(norm(best.scales)),
        linewidths=1.1,
        alpha=0.9,
    )
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=ax, fraction=0.03, pad=0.02)
    bar.set_label("pyramid scale")
    bar.set_ticks(PAPER_SCALES, labels=[f"{scale:.2f}" for scale in PAPER_SCALES])
    bar.minorticks_off()
    return figure


def receptive_fields(
    photo: Photo,
    features: Features,
    boxes: Float[np.ndarray, "n 4"],
    *,
    max_keypoints: int = 4,
    title: str = "",
) -> Figure:
    """Draw the best keypoints as dots, each with the box of its receptive field.

    A receptive field may reach beyond the photo, where the network sees zeros.

    Args:
        photo: The photo.
        features: Its features, best first.
        boxes: ``(top, left, bottom, right)`` of each receptive field in pixels, from `Extractor.boxes`.
        max_keypoints: Maximum number of keypoints to draw.
        title: Title of the figure.
    """
    figure, ax = _darkened(photo, title)
    boxes = boxes[:max_keypoints]
    for number, (box, position) in enumerate(zip(boxes, features.positions, strict=False)):
        color, (top, left, bottom, right) = COLORS[number % len(COLORS)], box
        edge = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color)
        edge.set(linewidth=2.2, path_effects=[Stroke(linewidth=4, foreground="white"), Normal()])
        ax.add_patch(edge)
        label = f"{number + 1}: scale {features.scales[number]:.2f}"
        ax.plot(*position[::-1], "o", color=color, markeredgecolor="white", label=label)
    size = np.array(photo.shape[:2])
    corners = np.vstack([boxes, [-0.5, -0.5, *size - 0.5]])
    margin = 0.5 * size  # the largest receptive fields would leave no room for the photo
    top, left = np.maximum(corners[:, :2].min(0) - 2, -margin)
    bottom, right = np.minimum(corners[:, 2:].max(0) + 2, size + margin)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    figure.legend(loc="outside right upper", title="keypoint, best first")
    return figure


def matches(
    photo_a: RgbImage, photo_b: RgbImage, pair: PairMatch | Matches, *, title: str | None = None
) -> Figure:
    """Draw the matches between two photos as lines.

    Inliers are bright, all other matches are faint. Matches that are not verified are all bright. At most
    200 bright lines are drawn, evenly chosen.

    Args:
        photo_a: The first photo (the query), in the size that its features were extracted from.
        photo_b: The second photo (of the database), likewise.
        pair: The result of `delfjax.search.matching.match`, or matches that are not verified yet.
        title: Title. None: the numbers of inliers and matches.
    """
    if isinstance(pair, PairMatch):
        found, inliers = pair.matches, pair.inliers
        default = f"{pair.num_inliers} inliers of {len(found)} matches"
    else:
        found, inliers, default = pair, np.ones(len(pair), bool), f"{len(pair)} matches"
    sizes = photo_a.shape[:2], photo_b.shape[:2]
    image = pair_image((photo_a, photo_b), sizes, found, inliers)
    return photos([image], [default if title is None else title], width=9.5)


def _darkened(photo: Photo, title: str) -> tuple[Figure, Axes]:
    height, width = photo.shape[:2]
    figure, axes = subplots(6.2, 6.2 * height / width + 0.3)
    draw_photo(axes[0, 0], (photo * BRIGHTNESS).astype(np.uint8), title)
    return figure, axes[0, 0]
