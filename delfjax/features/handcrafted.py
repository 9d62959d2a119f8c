"""Extract handcrafted local features with OpenCV: SIFT and RootSIFT, as baselines (Sec. 5).

The paper compares with CONGAS and LIFT (Table 1). Both are unavailable. They are replaced by SIFT
(Lowe 2004) and RootSIFT (Arandjelovic & Zisserman, CVPR 2012). Store, PCA, index and geometric
verification are the same as for learned features. OpenCV is an optional dependency.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from PIL import Image

from delfjax.features.extraction import ExtractionConfig
from delfjax.features.pyramid import (
    RESAMPLING,
    check_photo,
    limit_size,
    scale_points,
    shrink_factor,
)
from delfjax.images.reading import PhotoError
from delfjax.types import Features, Photo

Name = Literal["sift", "rootsift"]
NAMES: tuple[Name, ...] = get_args(Name)
DIMENSIONS = 128  # Lowe 2004: 4 x 4 histograms of 8 directions
SIGMA = 1.6  # Lowe 2004: blur of the finest scale of an octave, in pixels of the octave


class HandcraftedExtractor:
    """Model that extracts SIFT or RootSIFT features, with the interface of `Extractor`.

    Only ``pyramid.longest`` and ``max_features`` of the configuration are used. Features are
    selected by the response of OpenCV, a measure of contrast. A keypoint with two orientations is
    two features. ``checksum`` contains the version of OpenCV, because keypoints depend on it.
    """

    dimensions = DIMENSIONS

    def __init__(self, name: Name = "rootsift", config: ExtractionConfig | None = None) -> None:
        try:
            import cv2
        except ImportError as error:
            raise ImportError(
                "SIFT needs OpenCV 4.8 or later. Fix: pip install 'delfjax[handcrafted]'"
            ) from error
        self.name = name
        self.config = config or ExtractionConfig()
        self.checksum = f"{name}, OpenCV {cv2.__version__}"

    def with_config(self, config: ExtractionConfig) -> "HandcraftedExtractor":
        """Return a copy with another configuration."""
        return HandcraftedExtractor(self.name, config)

    def __call__(self, photo: Photo) -> Features:
        """Extract the features of a photo, highest contrast first. Some photos have no features.

        The scale of a feature is 1.6 divided by the blur of its keypoint, in pixels of the original
        photo.
        """
        import cv2

        check_photo(photo)
        longest = self.config.pyramid.longest
        size = limit_size(photo.shape[:2], longest)
        gray = Image.fromarray(photo).resize(size[::-1], RESAMPLING).convert("L")
        sift = cv2.SIFT.create(  # made here, because it cannot be sent to the workers of a cluster
            nfeatures=self.config.max_features,
            sigma=SIGMA,
            enable_precise_upscale=True,  # else all keypoints are off by a quarter of a pixel
        )
        keypoints, descriptors = sift.detectAndCompute(np.asarray(gray), None)
        if descriptors is None:
            descriptors = np.zeros((0, DIMENSIONS), np.float32)
        if self.name == "rootsift":
            descriptors = to_rootsift(descriptors)
        responses = np.array([keypoint.response for keypoint in keypoints], np.float32)
        best = np.argsort(-responses, kind="stable")[: self.config.max_features]
        points = np.array([keypoint.pt[::-1] for keypoint in keypoints]).reshape(-1, 2)[best]
        sigmas = np.array([keypoint.size / 2 for keypoint in keypoints])[best]
        shrink = shrink_factor(photo.shape[:2], longest)
        positions = scale_points(points, np.array(size), np.array(photo.shape[:2]))
        return Features(
            positions=positions.astype(np.float32),
            scales=(SIGMA / sigmas * shrink).astype(np.float32),
            scores=responses[best],
            descriptors=descriptors[best],
            image_size=photo.shape[:2],
        )

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract the features of named photos, in order. Yield each `PhotoError` unchanged."""
        for name, photo in photos:
            yield name, photo if isinstance(photo, PhotoError) else self(photo)


def to_rootsift(descriptors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Convert SIFT descriptors to RootSIFT: divide each by its L1 norm, then take square roots."""
    sums = descriptors.sum(1, keepdims=True)
    return np.asarray(np.sqrt(descriptors / np.maximum(sums, 1e-12)))
