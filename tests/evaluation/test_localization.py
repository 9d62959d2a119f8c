"""Keypoints on a landmark: counted by hand, and random keypoints."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from evaluations import evaluation_of, ranked
from PIL import Image

from delfjax.datasets.benchmark import Benchmark, Query, Truth
from delfjax.datasets.rendered import PhotoAnnotation
from delfjax.evaluation import report
from delfjax.evaluation.report import hit_rate
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
    positions = [[5, 20], [4.6, 19.6], [4.4, 20], [20, 5], [9, 29]]
    found = [hit_rate(keypoints([each]), mask, [1])[0] for each in positions]
    assert found == [1, 1, 0, 0, 1]


def test_hit_rate_counts_the_best_keypoints(mask):
    features = keypoints([[6, 25], [0, 0], [7, 25], [8, 25]])
    found = hit_rate(features, mask, [1, 2, 4, 5])
    np.testing.assert_allclose(found, [1, 1 / 2, 3 / 4, np.nan])


def test_junk_and_photos_without_features_do_not_count(tmp_path, mask, monkeypatch):
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
        for name, y in {"a.jpg": 6, "b.jpg": 0, "junk.jpg": 6}.items():
            store.write(name, keypoints([[y, 25], [y, 25]]))
    grades = {"a.jpg": "good", "b.jpg": "ok", "junk.jpg": "junk", "absent.jpg": "good"}
    annotations = {
        name: replace(annotation, photo=name, grade=grade) for name, grade in grades.items()
    }
    monkeypatch.setattr(report, "BEST", 2)
    monkeypatch.setattr(report.rendered, "annotations", lambda root: annotations)
    benchmark = Benchmark(
        name="photos",
        root=tmp_path,
        database=("b.jpg",),
        queries=(Query(name="a", photo="a.jpg"),),
        truths={"standard": (Truth(np.array([0]), np.array([], int)),)},
    )
    evaluation = replace(evaluation_of(benchmark, ranked([0], [9])), store=tmp_path)
    found = report._keypoints_on_landmark(evaluation)["on_landmark"]
    assert (found["photos"], found["value"]) == (2, 50)


def test_random_scores_give_the_fraction_of_the_mask(mask):
    random = np.random.default_rng(0)
    features = keypoints(random.uniform(-0.5, [19.5, 29.5], (4000, 2)))
    assert hit_rate(features, mask, [4000])[0] == pytest.approx(mask.mean(), abs=0.02)


def test_a_mask_of_another_size_is_an_error():
    with pytest.raises(ValueError, match=r"mask has .* \(2, 2\), but the photo has \(20, 30\)"):
        hit_rate(keypoints([[0, 0]]), np.ones((2, 2), bool), [1])
