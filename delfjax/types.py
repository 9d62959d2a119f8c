"""Data classes that all pipeline stages use, and the coordinates and axis names of all modules.

Coordinates: every position is ``(y, x)`` in pixels of the *original* photo, after EXIF rotation.
``(0, 0)`` is the center of the top-left pixel, so ``photo[y, x]`` is the pixel at ``(y, x)``.
Matplotlib, Pillow and OpenCV expect ``(x, y)``: swap only when you call them.

Axis names in shape annotations:

=========== =====================================================================================
``b``       photos of a batch, or candidate photos of a query
``h w``     rows and columns of an image, in pixels
``y x``     rows and columns of a feature map, in cells (one cell = 16 pixels of the resized photo)
``c``       channels of a feature map (1024 at conv4)
``n``       features of one photo, by default at most 1000
``q``       query features
``m``       putative matches: pairs of similar features that are not yet verified
``d``       dimensions of a descriptor (40 after the PCA)
``k``       nearest neighbors of one query feature (60 by default)
``t``       features of the whole database
``p``       photos of the database
=========== =====================================================================================
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real, UInt8

Photo = UInt8[np.ndarray, "h w 3"]
"""An upright RGB photo with values from 0 to 255."""

ARRAYS = ("positions", "scales", "scores", "descriptors")  # fields with one row per feature


class Box(NamedTuple):
    """A rectangle in the original photo, in pixels after EXIF rotation.

    Edges lie between pixels. An edge at 0 is the outer edge of the first row or column.
    """

    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Local features of one photo, sorted by score from high to low.

    Attributes:
        positions: Centers of the receptive fields (keypoints), ``(y, x)``, always inside the photo.
        scales: Factor by which the original photo was resized to compute the feature. The side
            of the region that a feature describes is proportional to ``1 / scale``.
        scores: Score by which each feature was selected, such as its attention score. Not negative.
        descriptors: Descriptor of each feature. Unit vectors after the PCA.
        image_size: ``(height, width)`` of the original photo in pixels.
    """

    positions: Float[np.ndarray, "n 2"]
    scales: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    descriptors: Float[np.ndarray, "n d"]
    image_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: slice | np.ndarray) -> "Features":
        """Return the features selected by a slice, an index array or a boolean mask."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})

    def with_descriptors(self, descriptors: Float[np.ndarray, "n e"]) -> "Features":
        """Return a copy with the given descriptors."""
        return replace(self, descriptors=descriptors)

    def inside(self, box: Box) -> "Features":
        """Return the features whose positions lie inside a box."""
        edges = self.positions + 0.5  # box edges count from the outer edge of the first pixel
        kept = (edges >= box[:2]) & (edges <= box[2:])
        return self[np.flatnonzero(kept.all(1))]


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """Putative matches between a query photo and one database photo.

    Attributes:
        query: ``(y, x)`` position of each match in the query photo.
        database: ``(y, x)`` position of each match in the database photo.
        distances: L2 distance between the two descriptors of each match, from 0 to 2.
        scales: Scales of the query feature and the database feature of each match. None: unknown.
    """

    query: Float[np.ndarray, "m 2"]
    database: Float[np.ndarray, "m 2"]
    distances: Float[np.ndarray, " m"]
    scales: Float[np.ndarray, "m 2"] | None = None

    def __len__(self) -> int:
        return len(self.query)

    def __getitem__(self, rows: slice | np.ndarray) -> "Matches":
        """Return the matches selected by a slice, an index array or a boolean mask."""
        arrays = {name: array[rows] for name, array in vars(self).items() if array is not None}
        return replace(self, **arrays)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Database photos ranked for one query, best first.

    Attributes:
        images: Index of each photo in the database, from 0.
        inliers: Number of RANSAC inliers of each photo, the score in the paper. -1 if RANSAC did
            not verify the photo.
        votes: Number of putative matches of each photo that pass the tests of `SearchConfig`.
        scores: Score by which the photos are ranked: weighted votes and inliers, the similarity of
            global descriptors, or the late fusion of this similarity and the inliers. None: the
            photos are ranked by inliers, then by votes.
    """

    images: Int[np.ndarray, " b"]
    inliers: Int[np.ndarray, " b"]
    votes: Int[np.ndarray, " b"]
    scores: Real[np.ndarray, " b"] | None = None

    @property
    def score(self) -> Real[np.ndarray, " b"]:
        """Values of ``scores``, or the numbers of inliers if ``scores`` is None."""
        return self.inliers if self.scores is None else self.scores

    def __len__(self) -> int:
        return len(self.images)
