"""SIFT and RootSIFT: positions and scales of keypoints, descriptors, and search."""

import pickle
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from worlds import classes, save

from delfjax.features.extract_folder import LocalExtractor, PCAConfig, extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.handcrafted import HandcraftedExtractor, to_rootsift
from delfjax.features.pyramid import PyramidConfig
from delfjax.images.reading import PhotoError
from delfjax.provenance import config_from_dict
from delfjax.search.searcher import Searcher

SMALL = ExtractionConfig(pyramid=PyramidConfig(longest=320), max_features=60)


needs_opencv = pytest.mark.skipif(
    find_spec("cv2") is None, reason="needs OpenCV: pip install opencv-python-headless"
)


def blob(center, *, size=(160, 200), sigma=5.0):
    y, x = np.mgrid[: size[0], : size[1]]
    gray = 40 + 180 * np.exp(-((y - center[0]) ** 2 + (x - center[1]) ** 2) / (2 * sigma**2))
    return np.repeat(gray[..., None], 3, -1).astype(np.uint8)


def noise(seed=0, size=(96, 128)):
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 4, size[1] // 4, 3), np.uint8)
    return coarse.repeat(4, 0).repeat(4, 1)


@needs_opencv
@pytest.mark.parametrize("center", [(80.0, 100.0), (70.3, 111.7)])
def test_a_blob_is_found_at_its_center(center):
    """OpenCV's default is off by a quarter of a pixel, down and to the right."""
    features = HandcraftedExtractor("sift", SMALL)(blob(center))
    np.testing.assert_allclose(features.positions[0], center, atol=0.1)


@needs_opencv
@pytest.mark.parametrize("longest", [100, 200])
def test_positions_refer_to_the_original_photo(longest):
    config = ExtractionConfig(pyramid=PyramidConfig(longest=longest))
    features = HandcraftedExtractor("sift", config)(blob((80, 100), sigma=8))
    np.testing.assert_allclose(features.positions[0], (80, 100), atol=0.5)
    np.testing.assert_allclose(features.scales[0], 1.6 / 8, rtol=0.15)
    assert features.image_size == (160, 200)


@needs_opencv
def test_larger_blobs_have_smaller_scales():
    extractor = HandcraftedExtractor("sift", SMALL)
    small, large = (extractor(blob((80, 100), sigma=sigma)).scales[0] for sigma in (4, 8))
    assert small / large == pytest.approx(2, rel=0.05)


@needs_opencv
def test_features_are_sorted_by_response_and_limited_in_number():
    extractor = HandcraftedExtractor("rootsift", SMALL)
    features = extractor(noise())
    assert len(features) == 60
    assert (np.diff(features.scores) <= 0).all()
    assert features.descriptors.dtype == np.float32
    again = extractor(noise())
    np.testing.assert_array_equal(features.descriptors, again.descriptors)


@needs_opencv
def test_dot_products_of_rootsift_are_the_hellinger_kernel():
    sift, root = (HandcraftedExtractor(name, SMALL)(noise()) for name in ("sift", "rootsift"))
    np.testing.assert_array_equal(sift.positions, root.positions)
    histograms = sift.descriptors / sift.descriptors.sum(1, keepdims=True)
    kernel = np.sqrt(histograms[:, None] * histograms[None]).sum(-1)
    np.testing.assert_allclose(root.descriptors @ root.descriptors.T, kernel, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(root.descriptors, axis=1), 1, atol=1e-5)


def test_rows_of_zeros_stay_zeros_in_rootsift():
    np.testing.assert_array_equal(to_rootsift(np.zeros((2, 128), np.float32)), 0)


@needs_opencv
def test_a_store_of_rootsift_can_be_searched(tmp_path):
    """A photo without keypoints has no features and no results."""
    photos = classes(tmp_path / "photos")
    save(photos.root / "a" / "flat.png", np.full((48, 64, 3), 99, np.uint8))
    extractor, config = HandcraftedExtractor("rootsift", SMALL), PCAConfig(dimensions=8)
    store = extract_folder(extractor, photos.root, tmp_path / "store", config=config)
    assert not store.report.failed
    assert store.made_by["backbone"] == "rootsift"
    assert store.made_by["model"].startswith("rootsift, OpenCV ")
    assert config_from_dict(ExtractionConfig, store.made_by["extraction"]) == SMALL
    searcher = Searcher(store.gather())
    best = searcher(store.read("b/1.png")).ranking.images[0]
    assert store.names[best] == "b/1.png"
    assert len(store.read("a/flat.png")) == 0
    assert len(searcher(store.read("a/flat.png")).ranking) == 0


@needs_opencv
def test_a_stream_yields_errors_unchanged():
    extractor = HandcraftedExtractor("sift", SMALL)
    assert isinstance(extractor, LocalExtractor)
    broken = PhotoError("no photo")
    (first, error), (second, features) = extractor.stream([("a", broken), ("b", noise())])
    assert (first, error, second, len(features)) == ("a", broken, "b", 60)


@needs_opencv
def test_with_config_changes_only_the_configuration():
    wanted = ExtractionConfig(pyramid=PyramidConfig(longest=99), max_features=7)
    other = HandcraftedExtractor("sift", SMALL).with_config(wanted)
    assert (other.name, other.config) == ("sift", wanted)


@needs_opencv
def test_an_extractor_can_be_sent_to_a_worker():
    extractor = pickle.loads(pickle.dumps(HandcraftedExtractor("rootsift", SMALL)))
    assert len(extractor(noise())) == 60


def test_without_opencv_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"pip install 'delfjax\[handcrafted\]'"):
        HandcraftedExtractor()
