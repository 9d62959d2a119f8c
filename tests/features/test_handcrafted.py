"""SIFT and RootSIFT: where keypoints are, how vectors relate, and that all else takes them as they are."""

import sys
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import pytest
from worlds import classes, save

from delfjax.cli.main import parser
from delfjax.evaluation.benchmark import evaluate_folder
from delfjax.features import handcrafted
from delfjax.features.extract_folder import LocalExtractor, PCAConfig, extract_folder
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.handcrafted import (
    ROOTSIFT,
    SIFT,
    HandcraftedConfig,
    HandcraftedExtractor,
    hellinger,
)
from delfjax.features.pyramid import PyramidConfig
from delfjax.features.store import FeatureStore
from delfjax.images.reading import PhotoError, scan

SMALL = HandcraftedConfig(longest=320, max_features=60)


needs_opencv = pytest.mark.skipif(
    find_spec("cv2") is None, reason="needs OpenCV: pip install opencv-python-headless"
)


def command(*arguments) -> int:
    options = parser().parse_args([str(argument) for argument in arguments])
    options.typed = ""
    return options.run(options)


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
    features = HandcraftedExtractor(SIFT, SMALL)(blob(center))
    np.testing.assert_allclose(features.positions[0], center, atol=0.1)


@needs_opencv
@pytest.mark.parametrize("longest", [100, 200])
def test_positions_are_of_the_photo_however_small_it_is_made(longest):
    features = HandcraftedExtractor(SIFT, HandcraftedConfig(longest=longest))(
        blob((80, 100), sigma=8)
    )
    np.testing.assert_allclose(features.positions[0], (80, 100), atol=0.5)
    assert features.image_size == (160, 200)


@needs_opencv
def test_larger_blobs_have_smaller_scales():
    extractor = HandcraftedExtractor(SIFT, SMALL)
    small, large = (extractor(blob((80, 100), sigma=sigma)).scales[0] for sigma in (4, 8))
    assert small / large == pytest.approx(2, rel=0.05)


@needs_opencv
def test_the_best_come_first_and_no_more_than_asked():
    extractor = HandcraftedExtractor(ROOTSIFT, SMALL)
    features = extractor(noise())
    assert len(features) == 60
    assert (np.diff(features.scores) <= 0).all()
    assert features.descriptors.dtype == np.float32
    again = extractor(noise())
    np.testing.assert_array_equal(features.descriptors, again.descriptors)


@needs_opencv
def test_rootsift_is_the_hellinger_kernel():
    sift, root = (HandcraftedExtractor(spec, SMALL)(noise()) for spec in (SIFT, ROOTSIFT))
    np.testing.assert_array_equal(sift.positions, root.positions)
    shares = sift.descriptors / sift.descriptors.sum(1, keepdims=True)
    kernel = np.sqrt(shares[:, None] * shares[None]).sum(-1)
    np.testing.assert_allclose(root.descriptors @ root.descriptors.T, kernel, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(root.descriptors, axis=1), 1, atol=1e-5)


def test_nothing_stays_nothing():
    np.testing.assert_array_equal(hellinger(np.zeros((2, 128), np.float32)), 0)


@needs_opencv
def test_a_flat_photo_has_no_features_and_stops_nothing(tmp_path):
    photos = classes(tmp_path / "photos")
    save(tmp_path / "photos" / "a" / "flat.png", np.full((48, 64, 3), 99, np.uint8))
    found = evaluate_folder(
        HandcraftedExtractor(SIFT, SMALL),
        scan(photos.root),
        tmp_path / "store",
        pca=PCAConfig(dimensions=8),
    )
    assert not found.report.failed
    assert len(FeatureStore(tmp_path / "store").read("a/flat.png")) == 0
    flat = found.benchmark.query_photos.names.index("a/flat.png")
    assert len(found.answers[flat].ranking) == 0


@needs_opencv
def test_store_index_and_search_run_as_with_a_network(tmp_path, capsys):
    photos = classes(tmp_path / "photos")
    options = ("--local", "rootsift", "--dimensions", 8, "--store", tmp_path / "store")
    assert command("evaluate", photos.root, *options) == 0
    assert "mAP" in capsys.readouterr().out
    made_by = FeatureStore(tmp_path / "store").made_by
    assert made_by["backbone"] == "rootsift"
    assert made_by["model"].startswith("rootsift, OpenCV ")
    assert made_by["extraction"]["selection"] == "response"
    assert command("search", tmp_path / "store", photos.path("b/1.png"), "--top", 1) == 0
    assert "b/1.png" in capsys.readouterr().out


@needs_opencv
def test_it_is_an_extractor_and_passes_errors_on(tmp_path):
    extractor = HandcraftedExtractor(SIFT, SMALL)
    assert isinstance(extractor, LocalExtractor)
    broken = PhotoError("no photo")
    (first, error), (second, features) = extractor.stream([("a", broken), ("b", noise())])
    assert (first, error, second, len(features)) == ("a", broken, "b", 60)
    store = extract_folder(
        extractor,
        classes(tmp_path / "photos", count=1),
        tmp_path / "store",
        config=PCAConfig(dimensions=4),
    )
    assert store.made_by["extraction"] == asdict(SMALL)


@needs_opencv
def test_with_config_takes_the_size_and_the_number_of_features():
    extractor = HandcraftedExtractor(SIFT, HandcraftedConfig(contrast=0.01), name="mine")
    wanted = ExtractionConfig(pyramid=PyramidConfig(longest=99), max_features=7)
    other = extractor.with_config(wanted)
    assert other.config == HandcraftedConfig(longest=99, max_features=7, contrast=0.01)
    assert (other.spec, other.name, extractor.name) == (SIFT, "mine", "mine")
    assert HandcraftedExtractor(SIFT).name == "sift"


@pytest.mark.parametrize(
    "options", [("--model", "m.safetensors"), ("--selection", "norm"), ("--nms-iou", 0.5)]
)
def test_options_of_a_network_are_an_error(tmp_path, options):
    photos = classes(tmp_path / "photos", count=1)
    with pytest.raises(ValueError, match=f"--local sift with {options[0]}: handcrafted features"):
        command("extract", photos.root, tmp_path / "store", "--local", "sift", *options)


def test_without_opencv_the_error_names_the_mend(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        HandcraftedExtractor()


def test_nonsense_is_an_error():
    with pytest.raises(ValueError, match="expected at least 1"):
        HandcraftedConfig(longest=0)
    assert set(handcrafted.SPECS) == {"sift", "rootsift"}
