"""Scores compared with a landmark mask: counted by hand, and random scores."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from delfjax.datasets.rendered import PhotoAnnotation
from delfjax.evaluation.localization import (
    hit_rate,
    hit_rates_in_store,
    is_on_landmark,
    normalized_entropy,
    pixel_average_precision,
    shifted_hit_rates,
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


def test_positions_are_y_x_and_are_rounded_to_pixels(mask):
    found = is_on_landmark(keypoints([[5, 20], [4.6, 19.6], [4.4, 20], [20, 5], [9, 29]]), mask)
    assert found.tolist() == [True, True, False, False, True]


def test_hit_rate_counts_the_best_keypoints(mask):
    features = keypoints([[6, 25], [0, 0], [7, 25], [8, 25]])
    found = hit_rate(features, mask, [1, 2, 4, 5])
    np.testing.assert_allclose(found, [1, 1 / 2, 3 / 4, np.nan])


def test_the_shift_is_in_pixels_of_the_pyramid_level(mask):
    features = replace(keypoints([[3, 18], [3, 18]]), scales=np.array([1, 0.5], np.float32))
    found = [shifted_hit_rates([features], [mask], 2, shift) for shift in (0, 2, 3)]
    # A shift of 2 moves the keypoints to (5, 20) and (7, 22), a shift of 3 to (6, 21) and (9, 24).
    np.testing.assert_allclose(np.concatenate(found), [0, 1, 1])
    # A shift of 5 moves them to (8, 23) and (13, 28); the second is off the landmark.
    assert shifted_hit_rates([features], [mask], 2, 5) == [0.5]


def test_hit_rates_of_a_store_leave_out_junk(tmp_path, mask):
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    annotation = PhotoAnnotation(
        photo="",
        landmark="tower",
        grade=None,
        framed_fraction=1.0,
        unoccluded_fraction=1.0,
        area_fraction=mask.mean(),
        size=mask.shape,
        intrinsics=np.eye(3),
        pose=np.eye(3, 4),
        view={},
        encoded_mask=base64.b64encode(stream.getvalue()).decode(),
    )
    with FeatureStore(tmp_path, {}) as store:
        for name in ("a.jpg", "b.jpg", "junk.jpg"):
            store.write(name, keypoints([[6, 25], [0, 0]]))
    grades = {"a.jpg": "good", "b.jpg": "ok", "junk.jpg": "junk", "absent.jpg": "good"}
    annotations = {
        name: replace(annotation, photo=name, grade=grade) for name, grade in grades.items()
    }
    found = hit_rates_in_store(store, annotations, [1, 2])
    assert list(found) == ["a.jpg", "b.jpg"]
    np.testing.assert_allclose(found["b.jpg"], [1, 1 / 2])


def test_random_scores_give_the_fraction_of_the_mask(mask):
    random = np.random.default_rng(0)
    features = keypoints(random.uniform(-0.5, [19.5, 29.5], (4000, 2)))
    assert hit_rate(features, mask, [4000])[0] == pytest.approx(mask.mean(), abs=0.02)
    noise = random.random(mask.shape)
    assert pixel_average_precision(noise, mask) == pytest.approx(mask.mean(), abs=0.05)


def test_a_perfect_map_has_average_precision_1(mask):
    assert pixel_average_precision(mask + 0.5, mask) == 1
    assert pixel_average_precision(-1.0 * mask, mask) < mask.mean() + 1e-9
    assert np.isnan(pixel_average_precision(mask + 0.5, np.zeros_like(mask)))


def test_entropy_is_0_for_one_cell_and_1_for_equal_cells():
    assert normalized_entropy(np.ones((4, 5))) == pytest.approx(1)
    assert normalized_entropy(np.eye(1, 20)) == pytest.approx(0)
    half = normalized_entropy(np.repeat([0.0, 1.0], 8))
    assert half == pytest.approx(np.log(8) / np.log(16))
    assert normalized_entropy(np.array([3.0])) == 0


@pytest.mark.parametrize("scores", [np.zeros(3), np.array([1.0, -1.0])])
def test_entropy_needs_non_negative_scores(scores):
    with pytest.raises(ValueError, match="expected non-negative scores"):
        normalized_entropy(scores)


def test_a_mask_of_another_size_is_an_error():
    with pytest.raises(ValueError, match=r"mask has .* \(2, 2\), but the photo has \(20, 30\)"):
        is_on_landmark(keypoints([[0, 0]]), np.ones((2, 2), bool))
