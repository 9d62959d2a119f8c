"""Measures of a score against the true mask: counted by hand, and what chance gives."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from delfjax.datasets.rendered import PhotoTruth
from delfjax.evaluation.localization import (
    detection_average_precision,
    entropy,
    hits_in_store,
    hits_of_top,
    hits_when_moved,
    on_landmark,
)
from delfjax.features.store import FeatureStore
from delfjax.types import Features


def keypoints(positions) -> Features:
    positions = np.array(positions, np.float32)
    ones = np.ones(len(positions), np.float32)
    return Features(
        positions=positions,
        scales=ones,
        scores=ones,
        descriptors=np.ones((len(positions), 4), np.float32),
        image_size=(20, 30),
    )


@pytest.fixture
def mask():
    mask = np.zeros((20, 30), bool)
    mask[5:10, 20:] = True
    return mask


def test_positions_are_y_x_and_rounded(mask):
    found = on_landmark(keypoints([[5, 20], [4.6, 19.6], [4.4, 20], [20, 5], [9, 29]]), mask)
    assert found.tolist() == [True, True, False, False, True]


def test_hits_are_of_the_best(mask):
    features = keypoints([[6, 25], [0, 0], [7, 25], [8, 25]])
    found = hits_of_top(features, mask, [1, 2, 4, 5])
    np.testing.assert_allclose(found, [1, 1 / 2, 3 / 4, np.nan])


def test_keypoints_are_moved_by_pixels_of_their_level(mask):
    features = replace(keypoints([[3, 18], [3, 18]]), scales=np.array([1, 0.5], np.float32))
    found = [hits_when_moved([features], [mask], 2, shift) for shift in (0, 2, 3)]
    # By 2 the first comes to (5, 20), on the landmark, the second to (7, 22); by 3 still both.
    np.testing.assert_allclose(np.concatenate(found), [0, 1, 1])
    assert hits_when_moved([features], [mask], 2, 5) == [0.5], "(8, 23), and (13, 28)"


def test_a_store_is_measured_photo_by_photo_without_junk(tmp_path, mask):
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    known = PhotoTruth(
        photo="",
        landmark="tower",
        grade=None,
        framed=1.0,
        unhidden=1.0,
        area=mask.mean(),
        size=mask.shape,
        intrinsics=np.eye(3),
        pose=np.eye(3, 4),
        view={},
        packed=base64.b64encode(stream.getvalue()).decode(),
    )
    with FeatureStore(tmp_path, {}) as store:
        for name in ("a.jpg", "b.jpg", "junk.jpg"):
            store.write(name, keypoints([[6, 25], [0, 0]]))
    graded = {"a.jpg": "good", "b.jpg": "ok", "junk.jpg": "junk", "absent.jpg": "good"}
    truths = {name: replace(known, photo=name, grade=grade) for name, grade in graded.items()}
    found = hits_in_store(store, truths, [1, 2])
    assert list(found) == ["a.jpg", "b.jpg"]
    np.testing.assert_allclose(found["b.jpg"], [1, 1 / 2])


def test_chance_is_the_area(mask):
    random = np.random.default_rng(0)
    features = keypoints(random.uniform(-0.5, [19.5, 29.5], (4000, 2)))
    assert hits_of_top(features, mask, [4000])[0] == pytest.approx(mask.mean(), abs=0.02)
    noise = random.random(mask.shape)
    assert detection_average_precision(noise, mask) == pytest.approx(mask.mean(), abs=0.05)


def test_a_perfect_map_detects_all(mask):
    assert detection_average_precision(mask + 0.5, mask) == 1
    assert detection_average_precision(-1.0 * mask, mask) < mask.mean() + 1e-9
    assert np.isnan(detection_average_precision(mask + 0.5, np.zeros_like(mask)))


def test_entropy_is_between_one_cell_and_all():
    assert entropy(np.ones((4, 5))) == pytest.approx(1)
    assert entropy(np.eye(1, 20)) == pytest.approx(0)
    half = entropy(np.repeat([0.0, 1.0], 8))
    assert half == pytest.approx(np.log(8) / np.log(16))
    assert entropy(np.array([3.0])) == 0


@pytest.mark.parametrize("scores", [np.zeros(3), np.array([1.0, -1.0])])
def test_entropy_wants_scores(scores):
    with pytest.raises(ValueError, match="expected scores from 0 up"):
        entropy(scores)


def test_a_mask_of_another_photo_is_an_error():
    with pytest.raises(ValueError, match=r"a mask of \(2, 2\) for a photo of \(20, 30\)"):
        on_landmark(keypoints([[0, 0]]), np.ones((2, 2), bool))
