"""Extract handcrafted local features with OpenCV: SIFT and RootSIFT, as baselines (Sec. 5).

The paper compares with CONGAS and LIFT (Table 1). Neither is available. They are replaced by SIFT
(Lowe 2004) and RootSIFT (Arandjelovic & Zisserman, CVPR 2012). Store, PCA, index and geometric
verification are the same as for learned features. OpenCV is an optional dependency.
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
SIGMA = 1.6  # Lowe 2004: blur of the finest scale of an octave, in pixels of the octave


@dataclass(frozen=True, kw_only=True)
class HandcraftedSpec:
    """Kind of the descriptor.

    Attributes:
        name: Name in commands, stores and results.
        root: Whether to convert SIFT to RootSIFT.
    """

    name: str
    root: bool


SIFT = HandcraftedSpec(name="sift", root=False)
ROOTSIFT = HandcraftedSpec(name="rootsift", root=True)
SPECS = {spec.name: spec for spec in (SIFT, ROOTSIFT)}


@dataclass(frozen=True, kw_only=True)
class HandcraftedConfig:
    """How keypoints are detected and selected.

    Attributes:
        longest: Maximum length of the longer side, in pixels. Larger photos are shrunk first.
        max_features: Maximum number of features per photo. A keypoint with two directions gives two
            features.
        contrast: OpenCV's minimum contrast of a keypoint. By default OpenCV's own.
        edge: OpenCV's maximum ratio of the principal curvatures of a keypoint. By default OpenCV's
            own.
        selection: Score by which features are selected: the contrast of the keypoint, which OpenCV
            calls its response.
    """

    longest: int = 1024
    max_features: int = 1000
    contrast: float = 0.04
    edge: float = 10.0
    selection: Literal["response"] = "response"

    def __post_init__(self) -> None:
        if min(self.longest, self.max_features) < 1:
            raise ValueError(
                f"longest is {self.longest} and max_features is {self.max_features}; "
                "expected at least 1"
            )


class HandcraftedExtractor:
    """Extracts SIFT or RootSIFT features, with the interface of a `LocalExtractor`.

    Args:
        spec: Kind of the descriptor.
        config: How keypoints are detected and selected.
        name: Name of the extractor. By default the name of the descriptor.

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
        self._cv2 = _import_opencv()
        self._sift = self._cv2.SIFT_create(
            nfeatures=self.config.max_features,
            contrastThreshold=self.config.contrast,
            edgeThreshold=self.config.edge,
            sigma=SIGMA,
            enable_precise_upscale=True,  # else all keypoints are off by a quarter of a pixel
        )

    def with_config(self, config: ExtractionConfig) -> "HandcraftedExtractor":
        """Return the same descriptor with the image size and ``max_features`` of a configuration.

        The other fields of an `ExtractionConfig` do not apply to handcrafted features.
        """
        own = replace(self.config, longest=config.pyramid.longest, max_features=config.max_features)
        return HandcraftedExtractor(self.spec, own, self.name)

    @cached_property
    def checksum(self) -> str:
        """Name of the descriptor and version of OpenCV: keypoints can differ between versions."""
        return f"{self.spec.name}, OpenCV {self._cv2.__version__}"

    def __call__(self, photo: Photo) -> Features:
        """Extract the features of a photo, highest response first. A photo can have none.

        A keypoint whose blur is ``sigma`` pixels of the shrunk photo gets the scale ``1.6 /
        sigma``. This is the factor by which to resize the photo so that the keypoint appears at
        Lowe's finest scale. The descriptor covers about ``12 sigma = 19 / scale`` pixels: 4
        histograms, each 3 ``sigma`` wide.
        """
        size = level_size(photo.shape[:2], min(1.0, self.config.longest / max(photo.shape[:2])))
        gray = Image.fromarray(photo).resize(size[::-1], RESAMPLING).convert("L")
        keypoints, descriptors = self._sift.detectAndCompute(np.asarray(gray), None)
        if descriptors is None:
            descriptors = np.zeros((0, DIMENSIONS), np.float32)
        responses = np.array([keypoint.response for keypoint in keypoints], np.float32)
        best = np.argsort(-responses, kind="stable")[: self.config.max_features]
        points = np.array([keypoint.pt[::-1] for keypoint in keypoints]).reshape(-1, 2)[best]
        sigmas = np.array([keypoint.size / 2 for keypoint in keypoints])[best]
        positions = (points + 0.5) * np.array(photo.shape[:2]) / size - 0.5
        return Features(
            positions=positions.astype(np.float32),
            scales=(SIGMA / sigmas).astype(np.float32),
            scores=responses[best],
            descriptors=to_rootsift(descriptors[best]) if self.spec.root else descriptors[best],
            image_size=photo.shape[:2],
        )

    def stream(
        self, photos: Iterable[tuple[str, Photo | PhotoError]]
    ) -> Iterator[tuple[str, Features | PhotoError]]:
        """Extract many photos, in order. Errors in the input are yielded unchanged."""
        for name, photo in photos:
            yield name, photo if isinstance(photo, PhotoError) else self(photo)


def to_rootsift(descriptors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Convert SIFT to RootSIFT: ``sqrt(d / |d|_1)``. Rows of zeros stay zeros.

    The results are unit vectors. Their L2 distance is the Hellinger distance of the SIFT
    histograms.
    """
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-12))


def _import_opencv() -> ModuleType:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise ImportError(
            "SIFT needs OpenCV 4.8 or later. Fix: pip install opencv-python-headless"
        ) from error
