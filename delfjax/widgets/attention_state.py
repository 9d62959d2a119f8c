"""Settings of the attention explorer, and the scores of a photo (Secs. 4.1 and 4.2, Fig. 9).

`score_photo` runs the network once for a photo and a model. The other functions are NumPy on
a few thousand cells, fast enough to follow a slider or the pointer. A *cell* is one position of the
feature map of one pyramid level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.extraction import Extractor, Selection
from delfjax.features.pyramid import STRIDE, merge_levels, scale_points
from delfjax.types import Photo

# Color maps of the heatmap. The first one is the default; the explorer's menu offers all of them.
# Any Matplotlib name works. These four are perceptually uniform and safe for color-blind readers.
COLOR_MAPS = ("magma", "inferno", "viridis", "cividis")


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """What the explorer shows, and how.

    Attributes:
        score: Score to show. A model without attention shows the norm instead.
        scale: Scale of the pyramid level to show. None merges all levels.
        count: Maximum number of keypoints.
        threshold: Quantile of the shown scores, 0 to 1. Cells with lower scores are not keypoints.
            It is a quantile because attention and norm have different units.
        color_map: Matplotlib color map of the heatmap, for example one of `COLOR_MAPS`.
        opacity: Opacity of the heatmap over the photo, 0 to 1.

    Raises:
        ValueError: If ``count`` is negative or ``threshold`` is not a quantile.
    """

    score: Selection = "attention"
    scale: float | None = None
    count: int = 100
    threshold: float = 0.0
    color_map: str = COLOR_MAPS[0]
    opacity: float = 0.6

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}; expected at least 0")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected a quantile from 0 to 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPhoto:
    """A photo with the scores that one model gives its cells.

    The arrays of length ``n`` have one row for each cell of each pyramid level.

    Attributes:
        photo: The photo.
        scales: Scale of each pyramid level.
        level_sizes: ``(height, width)`` of each level, in pixels of the level.
        maps: For each score, one map per level.
        levels: Index of the level of each cell.
        centers: ``(y, x)`` of each cell's center, in pixels of the photo.
        receptive_fields: ``(y_min, x_min, y_max, x_max)`` of each cell's receptive field, in pixels
            of the photo. It can reach beyond the photo.
        scores: For each score, its value at each cell.
    """

    photo: Photo
    scales: tuple[float, ...]
    level_sizes: Int[np.ndarray, "levels 2"]
    maps: Mapping[Selection, Sequence[Float[np.ndarray, "_ _"]]]
    levels: Int[np.ndarray, " n"]
    centers: Float[np.ndarray, "n 2"]
    receptive_fields: Float[np.ndarray, "n 4"]
    scores: Mapping[Selection, Float[np.ndarray, " n"]]

    @property
    def image_size(self) -> tuple[int, int]:
        """``(height, width)`` of the photo in pixels."""
        return self.photo.shape[:2]

    def level_pixel(self, row: int) -> Float[np.ndarray, " 2"]:
        """Return the height and width of one pixel of a cell's level, in pixels of the photo."""
        return np.array(self.image_size) / self.level_sizes[self.levels[row]]

    def available_score(self, score: Selection) -> Selection:
        """Return the given score, or the norm if the model has no such score."""
        return score if score in self.scores else "norm"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell and its rank among the cells that are shown.

    Attributes:
        row: Row of the cell in its `ScoredPhoto`.
        scale: Scale of the cell's pyramid level.
        score: The shown score at the cell.
        rank: Rank of the score, from 1.
        total: Number of cells that are shown.
    """

    row: int
    scale: float
    score: float
    rank: int
    total: int


def score_photo(photo: Photo, model: Extractor) -> ScoredPhoto:
    """Run the model on a photo and locate every cell of the pyramid on the photo."""
    dense = model.score_maps(photo)
    maps: dict[Selection, list[np.ndarray]] = {"norm": dense.norms}
    if dense.attention is not None:
        maps = {"attention": dense.attention, "norm": dense.norms}
    cells = [np.argwhere(np.ones(level.shape, bool)) for level in dense.norms]
    levels = np.repeat(np.arange(len(cells)), [len(level) for level in cells])
    sizes, image_size = dense.sizes[levels], np.array(dense.image_size)
    centers = scale_points(np.concatenate(cells) * STRIDE, sizes, image_size)
    return ScoredPhoto(
        photo=photo,
        scales=dense.scales,
        level_sizes=dense.sizes,
        maps=maps,
        levels=levels,
        centers=centers,
        receptive_fields=model.receptive_field.boxes_around(centers, image_size / sizes),
        scores={
            name: np.concatenate([level.ravel() for level in part]) for name, part in maps.items()
        },
    )


def heatmap(
    scored: ScoredPhoto, settings: ViewSettings, size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """Interpolate the score over an image; where several levels are shown, take their maximum.

    Args:
        scored: The photo and its scores.
        settings: Score and scale to show.
        size: ``(height, width)`` of the image, in pixels: the photo, enlarged or reduced.
    """
    levels = _shown_levels(scored, settings.scale)
    score = scored.maps[scored.available_score(settings.score)]
    return merge_levels([score[level] for level in levels], scored.level_sizes[levels], size)


def select_keypoints(scored: ScoredPhoto, settings: ViewSettings) -> Int[np.ndarray, " k"]:
    """Return the rows of the cells with the highest scores, best first.

    Args:
        scored: The photo and its scores.
        settings: Score, scale, maximum count and threshold.
    """
    scores = scored.scores[scored.available_score(settings.score)]
    rows = np.flatnonzero(np.isin(scored.levels, _shown_levels(scored, settings.scale)))
    rows = rows[scores[rows] >= np.quantile(scores[rows], settings.threshold)]
    return rows[np.argsort(-scores[rows], kind="stable")[: settings.count]]


def cell_at(scored: ScoredPhoto, settings: ViewSettings, point: tuple[float, float]) -> Cell:
    """Find the cell at a point of the photo; if several levels are shown, the one that scores best.

    Args:
        scored: The photo and its scores.
        settings: Score and scale to show.
        point: ``(y, x)`` in pixels of the photo. Outside of the photo, the nearest cell is found.
    """
    name, levels = scored.available_score(settings.score), _shown_levels(scored, settings.scale)
    points = np.array([point] * len(levels))
    on_levels = scale_points(points, np.array(scored.image_size), scored.level_sizes[levels])
    rows = []
    for level, cell in zip(levels, np.rint(on_levels / STRIDE).astype(int), strict=True):
        shape = np.array(scored.maps[name][level].shape)
        y, x = cell.clip(0, shape - 1)
        rows.append(int(np.searchsorted(scored.levels, level) + y * shape[1] + x))
    scores = scored.scores[name]
    row = max(rows, key=lambda row: scores[row])
    shown = scores[np.isin(scored.levels, levels)]
    return Cell(
        row=row,
        scale=scored.scales[scored.levels[row]],
        score=float(scores[row]),
        rank=1 + int((shown > scores[row]).sum()),
        total=len(shown),
    )


def describe_view(scored: ScoredPhoto, settings: ViewSettings) -> str:
    """Describe what is shown: score, scale, number of keypoints and threshold."""
    scale = "all scales" if settings.scale is None else f"scale {settings.scale:.2f}"
    count = len(select_keypoints(scored, settings))
    keypoints = f"{count} keypoint{'' if count == 1 else 's'}"
    top = f" from the top {1 - settings.threshold:.0%} of cells" if settings.threshold else ""
    return f"{scored.available_score(settings.score)}, {scale}, {keypoints}{top}"


def _shown_levels(scored: ScoredPhoto, scale: float | None) -> Int[np.ndarray, " levels"]:
    """Return the indices of the levels with the given scale, or of all levels."""
    if scale is None:
        return np.arange(len(scored.scales))
    found = np.flatnonzero(np.isclose(scored.scales, scale))
    if not len(found):
        raise ValueError(
            f"no pyramid level has scale {scale}; expected None or one of {scored.scales}"
        )
    return found
