"""What an explorer of attention shows of a photo, from score maps computed once (Secs. 4.1, 4.2, Fig. 9).

`look` runs the network; all else here is arithmetic on some thousands of cells, done in milliseconds while
somebody moves a slider or a pointer.

Symbols: ``s`` a score, ``q`` a quantile of the scores that are shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.extraction import DenseMaps, Extractor, Selection
from delfjax.features.pyramid import CELL, merge_levels, resized
from delfjax.models.resnet import ReceptiveField
from delfjax.types import Photo


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is chosen of a photo's scores.

    Attributes:
        selection: The score; the norm where a model has no attention.
        scale: The pyramid level, by its scale; None: all of them, merged.
        count: Keypoints at most.
        threshold: Quantile of the scores of the chosen scales, 0 to 1, under which no cell becomes a
            keypoint. A quantile, as norm and attention have no common unit.
    """

    selection: Selection = "attention"
    scale: float | None = None
    count: int = 100
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}; expected at least 0")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected a quantile, 0 to 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A photo as one model sees it; a row of ``n`` for every cell of every pyramid level.

    Attributes:
        photo: The photo.
        scales: The levels.
        sizes: ``(height, width)`` of each level, in its pixels.
        maps: A map a level, for each score that the model gives.
        levels: The level of each cell.
        centers: Where on the photo it looks, ``(y, x)``.
        boxes: What it sees: ``(y_min, x_min, y_max, x_max)`` on the photo, and beyond it.
        scores: Each cell's scores.
    """

    photo: Photo
    scales: tuple[float, ...]
    sizes: Int[np.ndarray, "levels 2"]
    maps: Mapping[Selection, Sequence[Float[np.ndarray, "_ _"]]]
    levels: Int[np.ndarray, " n"]
    centers: Float[np.ndarray, "n 2"]
    boxes: Float[np.ndarray, "n 4"]
    scores: Mapping[Selection, Float[np.ndarray, " n"]]

    @property
    def image_size(self) -> tuple[int, int]:
        """``(height, width)`` of the photo."""
        return self.photo.shape[:2]

    def pixel(self, row: int) -> Float[np.ndarray, " 2"]:
        """Return the height and width, on the photo, of a pixel of a cell's level."""
        return np.array(self.image_size) / self.sizes[self.levels[row]]

    def offered(self, selection: Selection) -> Selection:
        """Return the score that was asked for, or the norm where the model has no attention."""
        return selection if selection in self.scores else "norm"


class Cell(NamedTuple):
    """One cell: its row in a `Look`, scale and score, and its rank among the cells that are shown."""

    row: int
    scale: float
    score: float
    rank: int
    cells: int


def look(photo: Photo, extractor: Extractor) -> Look:
    """Run the network over a photo's pyramid, and place every cell on the photo."""
    return placed(photo, extractor.dense(photo), extractor.receptive_field)


def placed(photo: Photo, dense: DenseMaps, field: ReceptiveField) -> Look:
    """Place the cells of score maps on their photo."""
    maps: dict[Selection, list[np.ndarray]] = {"norm": dense.norms}
    if dense.attention is not None:
        maps = {"attention": dense.attention, "norm": dense.norms}
    cells = [np.argwhere(np.ones(level.shape, bool)) for level in dense.norms]
    levels = np.repeat(np.arange(len(cells)), [len(level) for level in cells])
    sizes = dense.sizes[levels]
    pixels = np.concatenate(cells) * CELL
    centers = resized(pixels, sizes, np.array(dense.image_size))
    return Look(
        photo=photo,
        scales=dense.scales,
        sizes=dense.sizes,
        maps=maps,
        levels=levels,
        centers=centers,
        boxes=field.around(centers, np.array(dense.image_size) / sizes),
        scores={
            name: np.concatenate([level.ravel() for level in part]) for name, part in maps.items()
        },
    )


def shown_levels(seen: Look, scale: float | None) -> Int[np.ndarray, " levels"]:
    """Return the numbers of the levels that are shown.

    Raises:
        ValueError: If there is no level of that scale.
    """
    if scale is None:
        return np.arange(len(seen.scales))
    found = np.flatnonzero(np.isclose(seen.scales, scale))
    if not len(found):
        raise ValueError(f"there is no scale {scale}; expected one of {seen.scales}, or None")
    return found


def heat(seen: Look, choice: Choice, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Spread the score over an image of the photo; of several levels keep the highest of each pixel.

    Args:
        seen: The photo.
        choice: Score and scale.
        size: ``(height, width)`` of the image: the photo, drawn larger or smaller.
    """
    maps = seen.maps[seen.offered(choice.selection)]
    chosen = shown_levels(seen, choice.scale)
    return merge_levels([maps[level] for level in chosen], seen.sizes[chosen], size)


def keypoints(seen: Look, choice: Choice) -> Int[np.ndarray, " k"]:
    """Return the rows of the best cells that are not under the threshold, best first."""
    scores = seen.scores[seen.offered(choice.selection)]
    rows = np.flatnonzero(np.isin(seen.levels, shown_levels(seen, choice.scale)))
    rows = rows[scores[rows] >= np.quantile(scores[rows], choice.threshold)]
    return rows[np.argsort(-scores[rows], kind="stable")[: choice.count]]


def cell_at(seen: Look, choice: Choice, point: tuple[float, float]) -> Cell:
    """Find the cell that looks at a point of the photo; of several levels' cells, the one that scores best.

    Args:
        seen: The photo.
        choice: Score and scale.
        point: ``(y, x)`` on the photo; beyond it, the nearest cell is found.
    """
    name, chosen = seen.offered(choice.selection), shown_levels(seen, choice.scale)
    inside = resized(np.array([point] * len(chosen)), np.array(seen.image_size), seen.sizes[chosen])
    rows = []
    for level, place in zip(chosen, np.rint(inside / CELL).astype(int), strict=True):
        shape = np.array(seen.maps[name][level].shape)
        y, x = place.clip(0, shape - 1)
        rows.append(int(np.searchsorted(seen.levels, level) + y * shape[1] + x))
    scores = seen.scores[name]
    row = max(rows, key=lambda row: scores[row])
    rivals = scores[np.isin(seen.levels, chosen)]
    rank = 1 + int((rivals > scores[row]).sum())
    return Cell(row, seen.scales[seen.levels[row]], float(scores[row]), rank, len(rivals))
