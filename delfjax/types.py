"""The words of this package: array axes, coordinates, and the records that pass between its stages.

Coordinates. Every position is ``(y, x)``, in pixels of the *original* photo (after EXIF rotation),
with ``(0, 0)`` at the center of the top-left pixel; so ``photo[y, x]`` is the pixel at an integer
position. Plots and OpenCV want ``(x, y)``: the swap happens there, and nowhere else.

Axis words, as they stand in the shape annotations:

=========== =====================================================================================
``b``       photos of a batch, or candidate photos of a query
``h w``     rows and columns of an image, in pixels
``y x``     rows and columns of a feature map, in cells (one cell = 16 pixels of its pyramid level)
``c``       channels of a feature map (1024 at conv4)
``n``       features of one photo, at most 1000
``q``       query features
``m``       putative matches
``d``       dimensions of a descriptor (40 after the PCA)
``k``       neighbors of one query feature (60 in re-implementations, and here)
``t``       features of a whole database
=========== =====================================================================================
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

Photo = UInt8[np.ndarray, "h w 3"]
"""An RGB photo, 0 to 255, upright."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The local features of one photo, best score first.

    Attributes:
        positions: Receptive-field centers, ``(y, x)`` in pixels of the original photo. A center
            always lies within the photo.
        scales: Pyramid level each feature comes from, as the factor by which the photo was resized
            (0.25 to 2.0): the receptive field covers ``291 / scale`` pixels of the photo.
        scores: What the features were selected by: attention, or the L2 norm. Non-negative.
        descriptors: One row a feature; after the PCA, unit vectors.
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
        """Keep some of the features: a slice, an index array or a boolean mask."""
        return replace(
            self,
            positions=self.positions[rows],
            scales=self.scales[rows],
            scores=self.scores[rows],
            descriptors=self.descriptors[rows],
        )

    def with_descriptors(self, descriptors: Float[np.ndarray, "n e"]) -> "Features":
        """Return the same keypoints with other descriptors."""
        return replace(self, descriptors=descriptors)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """Putative matches between a query photo and one database photo.

    Attributes:
        query: ``(y, x)`` positions in the query photo, in its pixels.
        database: ``(y, x)`` positions in the database photo, row by row the counterparts.
        distances: L2 distance of the two descriptors, 0 to 2.
    """

    query: Float[np.ndarray, "m 2"]
    database: Float[np.ndarray, "m 2"]
    distances: Float[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """A ranked list of database photos for one query, best first, one row a photo.

    Attributes:
        images: Database photo numbers.
        inliers: Matches that agree with the photo's affine model: the score of the paper. -1 where
            the photo was not verified.
        votes: Query features with a neighbor in the photo, of those that `SearchConfig` keeps.
        affines: Query-to-database affine maps on homogeneous ``(y, x, 1)``; NaN where there is none.
        scores: What the photos are ranked by, where it is not inliers and votes: the similarity of global
            descriptors, or a fusion of the two.
    """

    images: Int[np.ndarray, " b"]
    inliers: Int[np.ndarray, " b"]
    votes: Int[np.ndarray, " b"]
    affines: Float[np.ndarray, "b 2 3"]
    scores: Float[np.ndarray, " b"] | None = None

    def __len__(self) -> int:
        return len(self.images)
