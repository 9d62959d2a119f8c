"""The embedded set is whole, is what its card says, and its truth agrees with itself."""

import shutil
from collections import Counter

import numpy as np
import pytest

from delfjax.datasets import rendered
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.images.reading import read_image, original_size

MEGABYTES = 20


@pytest.fixture(scope="module")
def benchmark():
    return rendered.load()


@pytest.fixture(scope="module")
def truths():
    return rendered.annotations()


def test_no_file_is_damaged_and_the_set_is_small():
    assert rendered.damaged_files() == []
    files = [path for path in rendered.ROOT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6


def test_training_has_forty_nine_landmarks_of_fifteen_photos():
    counts = Counter(rendered.training_photos().labels)
    assert len(counts) == 49
    assert set(counts.values()) == {15}


def test_the_evaluation_has_oxfords_shape(benchmark):
    assert len(benchmark.queries) == 55
    assert len(benchmark.distractor_queries) == 40
    assert (len(benchmark.base_photos), benchmark.distractor_count) == (11 * 24, 128)
    names = Counter(query.name.rpartition("_")[0] for query in benchmark.queries)
    assert len(names) == 11
    assert set(names.values()) == {5}
    for truth in benchmark.truths[STANDARD]:
        assert 5 <= len(truth.positives) <= 24
        assert max(*truth.positives, *truth.junk, 0) < len(benchmark.base_photos)


def test_no_landmark_or_place_is_shared(benchmark):
    trained = set(rendered.training_photos().labels)
    evaluated = set(rendered.landmark_bounds())
    assert not trained & evaluated
    places = {name.rpartition("_")[0] for name in benchmark.distractor_photos.names}
    strange = {query.photo.rpartition("_")[0] for query in benchmark.distractor_queries}
    assert not {name.split("/")[1] for name in places} & {name.split("/")[1] for name in strange}


def test_a_smaller_database_has_the_same_questions(benchmark):
    small = rendered.load(distractors=False)
    assert small.database == benchmark.base_photos.names
    assert small.queries == benchmark.queries
    assert (small.name, benchmark.name) == ("rendered", "rendered+places")


def test_every_photo_has_its_truth(benchmark, truths):
    asked = {query.photo for query in benchmark.all_queries}
    assert set(truths) == {*benchmark.database, *asked}
    for truth in list(truths.values())[::37]:
        assert original_size(benchmark.root / truth.photo) == truth.size
        assert read_image(benchmark.root / truth.photo).shape[:2] == truth.mask.shape


def test_masks_agree_with_the_shares(truths):
    for truth in truths.values():
        assert truth.mask.mean() == pytest.approx(truth.area_fraction, abs=1e-4)
        assert 0 <= truth.visible_fraction <= truth.framed_fraction <= 1
        assert (truth.grade is None) == (truth.landmark is None)


def test_grades_follow_from_the_truth_and_the_files_from_the_grades(benchmark, truths):
    numbers = {name: number for number, name in enumerate(benchmark.database)}
    for query, truth in zip(benchmark.queries, benchmark.truths[STANDARD], strict=True):
        mine = [t for t in truths.values() if t.landmark == query.name.rpartition("_")[0]]
        right = {numbers[t.photo] for t in mine if t.visible_fraction >= 0.25 and t.area_fraction >= 0.01}
        assert set(truth.positives.tolist()) == right
        assert set(truth.junk.tolist()) == {numbers[t.photo] for t in mine} - right
        assert truths[query.photo].grade == "good"


def test_a_querys_box_holds_its_landmark(benchmark, truths):
    for query in benchmark.queries:
        mask, box = truths[query.photo].mask, query.box
        rows, columns = np.nonzero(mask)
        assert box.top <= rows.min()
        assert box.left <= columns.min()
        assert rows.max() + 1 <= box.bottom <= len(mask)
        assert columns.max() + 1 <= box.right <= mask.shape[1]


def test_the_camera_sees_the_landmark_where_the_mask_is(truths):
    """The middle of a wholly framed landmark projects into its mask's box."""
    feet = rendered.landmark_bounds()
    checked = 0
    for truth in truths.values():
        if truth.landmark is None or truth.framed_fraction < 0.999 or truth.unoccluded_fraction < 0.9:
            continue
        low, high = feet[truth.landmark]
        x, y, z = truth.intrinsics @ (truth.pose @ [*(low + high) / 2, 1.0])
        rows, columns = np.nonzero(truth.mask)
        assert z > 0
        assert columns.min() - 3 <= x / z <= columns.max() + 3
        assert rows.min() - 3 <= y / z <= rows.max() + 3
        checked += 1
    assert checked > 50


def test_a_damaged_file_is_named(tmp_path):
    for name in ("SHA256SUMS", "README.md"):
        shutil.copyfile(rendered.ROOT / name, tmp_path / name)
    (tmp_path / "README.md").write_text("changed")
    bad = rendered.damaged_files(tmp_path)
    assert "README.md" in bad
    assert "eval/truth.jsonl" in bad


def test_a_folder_without_the_set_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"the rendered set is not here \(SHA256SUMS is missing"):
        rendered.load(tmp_path)
