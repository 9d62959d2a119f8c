"""Handcrafted local features, SIFT and RootSIFT, in place of learned ones: the baselines of Sec. 5.

Table 1 has CONGAS and LIFT for comparison; neither is available here. SIFT (Lowe 2004) and RootSIFT (Arandjelovic & Zisserman, CVPR 2012) take their
place, found by OpenCV, which is not among the dependencies. All that follows extraction (store, PCA, index,
votes, RANSAC) is the same as for learned features.

RootSIFT is ``sqrt(d / |d|_1)``: the L2 distance of two such vectors is the Hellinger distance of the
histograms that SIFT counts.
"""

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Literal

import numpy as np
from jaxtyping import Float
from PIL import Image

from delfjax.features.extraction import ExtractionConfig
from delfjax.features.pyramid import RESAMPLING, level_size
from delfjax.images.reading import PhotoError
from delfjax.types import Features, Photo

DIMENSIONS = 128  # Lowe 2004: 4 x 4 histograms of 8 directions
SIGMA = (
    1.6  # Lowe 2004: blur of the finest scale that keypoints are sought at, in pixels of an octave
)


@dataclass(frozen=True, kw_only=True)
class HandcraftedSpec:
    """Which descriptor.

    Attributes:
        name: How commands, stores and results call it.
        root: Whether SIFT becomes RootSIFT.
    """

    name: str
    root: bool


SIFT, ROOTSIFT = (
    HandcraftedSpec(name="sift", root=False),
    HandcraftedSpec(name="rootsift", root=True),
)
SPECS = {spec.name: spec for spec in (SIFT, ROOTSIFT)}


@dataclass(frozen=True, kw_only=True)
class HandcraftedConfig:
    """How keypoints are found and chosen.

    Attributes:
        longest: Photos with a longer side, in pixels, are first shrunk to it, as for the pyramid.
        max_features: Features kept of a photo. One keypoint with two directions makes two features.
        contrast: OpenCV's threshold on the contrast of a keypoint; its default.
        edge: OpenCV's threshold on the ratio of its curvatures; its default, and Lowe's.
        selection: What features are ranked by: the contrast of their keypoint, which OpenCV calls its
            response.
    """

    longest: int = 1024
    max_features: int = 1000
    contrast: float = 0.04
    edge: float = 10.0
    selection: Literal["response"] = "response"

    def __post_init__(self) -> None:
        if min(self.longest, self.max_features) < 1:
            raise ValueError(
                f"longest {self.longest}, max_features {self.max_features}: expected at least 1"
            )


class HandcraftedExtractor:
    """Extracts SIFT or RootSIFT; stands wherever `delfjax.features.extraction.Extractor` does.

    Args:
        spec: Which descriptor.
        config: How keypoints are found and chosen.
        name: Name of the extractor; the spec's name if empty.

    Raises:
        ImportError: If OpenCV is not installed.
    """

    def __init__(
        self,
        spec: HandcraftedSpec = ROOTSIFT,
        config: HandcraftedConfig | None = None,
        name: str = "",
    ) -> None:
        self.spec = spec
        self.name = name or spec.name
        self.config = config or HandcraftedConfig()
        self._cv2 = opencv()
        self._sift = self._cv2.SIFT_create(
            nfeatures=self.config.max_features,
            contrastThreshold=self.config.contrast,
            edgeThreshold=self.config.edge,
            sigma=SIGMA,
            enable_precise_upscale=True,  # else all keypoints lie a quarter of a pixel off
        )

    def with_config(self, config: ExtractionConfig) -> "HandcraftedExtractor":
        """Return the same descriptor with the longest side and ``max_features`` of a configuration.

        The other fields of an extraction configuration have no meaning for handcrafted features.
        """
        own = replace(self.config, longest=config.pyramid.longest, max_features=config.max_features)
        return HandcraftedExtractor(self.spec, own, self.name)

    @cached_property
    def checksum(self) -> str:
        """Name what stands for a network's weights: keypoints may change from release to release."""
        return f"{self.spec.name}, OpenCV {self._cv2.__version__}"

    def __call__(self, photo: Photo) -> Features:
        """Extract a photo's features, highest response first; there may be none.

        Scales are in the package's sense: a keypoint of blur ``sigma`` in the shrunk photo has the scale
        ``1.6 / sigma``, the factor by which one would resize the photo for it to have Lowe's first. Its
        descriptor sees about ``12 sigma = 19 / scale`` pixels: 4 histograms, each 3 ``sigma`` wide.
        """
        size = level_size(photo.shape[:2], min(1.0, self.config.longest / max(photo.shape[:2])))
        gray = Image.fromarray(photo).resize(size[::-1], RESAMPLING).convert("L")
        found, descriptors = self._sift.detectAndCompute(np.asarray(gray), None)
        responses = np.array([keypoint.response for keypoint in found], np.float32)
        best = np.argsort(-responses, kind="stable")[: self.config.max_features]
        points = np.array([keypoint.pt[::-1] for keypoint in found]).reshape(-1, 2)[best]
        sigmas = np.array([keypoint.size / 2 for keypoint in found])[best]
        positions = (points + 0.5) * np.array(photo.shape[:2]) / size - 0.5
        vectors = np.zeros((0, DIMENSIONS), np.float32) if descriptors is None else descriptors
        return Features(
            positions=positions.astype(np.float32),
            scales=(SIGMA / sigmas).astype(np.float32),
            scores=responses[best],
            descriptors=hellinger(vectors[best]) if self.spec.root else vectors[best],
            image_size=photo.shape[:2],
        )

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract photo after photo; errors pass through."""
        for name, photo in photos:
            yield name, photo if isinstance(photo, PhotoError) else self(photo)


def hellinger(descriptors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Make RootSIFT of SIFT, ``sqrt(d / |d|_1)``: unit vectors; rows of zeros stay zeros."""
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-12))


def opencv() -> ModuleType:
    """Import OpenCV.

    Raises:
        ImportError: If it is not installed, with the mend.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise ImportError(
            "SIFT needs OpenCV 4.8 or later; run: pip install opencv-python-headless"
        ) from error
