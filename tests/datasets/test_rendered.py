"""The rendered sets: complete, as their descriptions say, and their annotations are consistent."""

import functools
import shutil
from collections import Counter

import numpy as np
import pytest

from delfjax.datasets import rendered
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.images.reading import original_size, read_image

MEGABYTES = {rendered.ROOT: 20, rendered.LARGE: 50}
load = functools.cache(rendered.load)


@pytest.fixture(scope="module", params=["rendered+places", "rendered_large"])
def benchmark(request):
    return load(name=request.param)


@pytest.fixture(scope="module")
def folder(benchmark):
    return benchmark.root.parent


@pytest.fixture(scope="module")
def annotations(folder):
    return rendered.annotations(folder)


@pytest.mark.parametrize("folder", MEGABYTES)
def test_all_files_are_intact_and_the_set_is_small(folder):
    assert rendered.damaged(folder) == []
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MEGABYTES[folder] * 1e6


def test_training_has_49_landmarks_of_15_photos():
    counts = Counter(rendered.training_photos().labels)
    assert len(counts) == 49
    assert set(counts.values()) == {15}


def test_the_small_set_has_the_shape_of_oxford5k():
    benchmark = load(name="rendered+places")
    assert len(benchmark.queries) == 55
    assert len(benchmark.distractor_queries) == 40
    assert (len(benchmark.base_photos), benchmark.distractor_count) == (11 * 24, 128)
    names = Counter(query.name.rpartition("_")[0] for query in benchmark.queries)
    assert len(names) == 11
    assert set(names.values()) == {5}
    for truth in benchmark.truths[STANDARD]:
        assert 5 <= len(truth.positives) <= 24
        assert max(*truth.positives, *truth.junk, 0) < len(benchmark.base_photos)


def test_the_large_set_has_40_landmarks_with_siblings_and_places_as_distractors():
    benchmark = load(name="rendered_large")
    assert len(benchmark.queries) == 160
    assert len(benchmark.distractor_queries) == 200
    assert (len(benchmark.base_photos), benchmark.distractor_count) == (40 * 12, 10 * 12 + 25 * 8)
    names = Counter(query.name.rpartition("_")[0] for query in benchmark.queries)
    assert len(names) == 40
    assert set(names.values()) == {4}


def test_training_evaluation_and_distractors_share_no_scene(benchmark, folder):
    assert not set(rendered.training_photos().labels) & set(rendered.landmark_bounds(folder))

    def scenes(photos):
        return {photo.split("/")[1].rpartition("_")[0] for photo in photos}

    queries = [query.photo for query in benchmark.distractor_queries]
    assert not scenes(benchmark.distractor_photos.names) & scenes(queries)


def test_without_distractors_the_queries_are_the_same():
    benchmark, small = load(name="rendered+places"), load(name="rendered")
    assert small.database == benchmark.base_photos.names
    assert small.queries == benchmark.queries
    assert (small.name, benchmark.name) == ("rendered", "rendered+places")


def test_every_photo_has_an_annotation(benchmark, annotations):
    queries = {query.photo for query in benchmark.all_queries}
    assert set(annotations) == {*benchmark.database, *queries}
    for annotation in list(annotations.values())[::37]:
        path = benchmark.root / annotation.photo
        assert original_size(path) == annotation.size
        assert read_image(path).shape[:2] == annotation.mask.shape


def test_masks_agree_with_the_fractions(folder, annotations):
    searched = rendered.landmark_bounds(folder)
    for annotation in annotations.values():
        assert annotation.mask.mean() == pytest.approx(annotation.area_fraction, abs=1e-4)
        assert 0 <= annotation.visible_fraction <= annotation.framed_fraction <= 1
        assert (annotation.grade is None) == (annotation.landmark not in searched)


def test_the_ground_truth_follows_from_the_annotations(benchmark, annotations):
    numbers = {name: number for number, name in enumerate(benchmark.database)}
    for query, truth in zip(benchmark.queries, benchmark.truths[STANDARD], strict=True):
        landmark = query.name.rpartition("_")[0]
        same = [each for each in annotations.values() if each.landmark == landmark]
        visible = [e for e in same if e.visible_fraction >= 0.25 and e.area_fraction >= 0.01]
        positives = {numbers[each.photo] for each in visible}
        assert set(truth.positives.tolist()) == positives
        assert set(truth.junk.tolist()) == {numbers[each.photo] for each in same} - positives
        assert annotations[query.photo].grade == "good"


def test_correct_photos_of_the_protocol_view_share_surface_with_the_query(benchmark, annotations):
    for query, truth, view in zip(
        benchmark.queries, benchmark.truths[STANDARD], benchmark.truths[rendered.VIEW], strict=True
    ):
        positives = set(truth.positives.tolist())
        assert set(view.positives.tolist()) <= positives
        assert set(truth.junk.tolist()) <= set(view.junk.tolist()) <= positives | {*truth.junk}
        assert benchmark.database.index(query.photo) in view.positives


def test_photos_share_less_surface_the_more_their_directions_differ(benchmark, folder, annotations):
    bounds = rendered.landmark_bounds(folder)
    shares = {"near": [], "far": []}
    for query, truth in zip(benchmark.queries, benchmark.truths[STANDARD], strict=True):
        own = annotations[query.photo]
        others = [annotations[benchmark.database[each]] for each in truth.positives]
        box = bounds[own.landmark]
        shared = rendered.shared_surface(own, [own, *others], box)
        assert shared[0] == pytest.approx(1)
        assert ((shared >= 0) & (shared <= 1 + 1e-9)).all()
        for other, share in zip(others, shared[1:], strict=True):
            directions = [each.camera_center - np.mean(box, axis=0) for each in (own, other)]
            one, two = (each / np.linalg.norm(each) for each in directions)
            angle = np.degrees(np.arccos(np.clip(one @ two, -1, 1)))
            if angle < 15 or angle > 120:
                shares["near" if angle < 15 else "far"].append(share)
    assert np.quantile(shares["near"], 0.1) > 0.5
    assert np.quantile(shares["far"], 0.9) < 0.1


def test_the_box_of_a_query_contains_its_landmark(benchmark, annotations):
    for query in benchmark.queries:
        mask, box = annotations[query.photo].mask, query.box
        rows, columns = np.nonzero(mask)
        assert box.top <= rows.min()
        assert box.left <= columns.min()
        assert rows.max() + 1 <= box.bottom <= len(mask)
        assert columns.max() + 1 <= box.right <= mask.shape[1]


def test_cameras_project_landmarks_into_their_masks(folder, annotations):
    """The center of a fully visible landmark is projected into the bounding box of its mask."""
    bounds = rendered.landmark_bounds(folder)
    visible = [
        each
        for each in annotations.values()
        if each.landmark in bounds
        and each.framed_fraction >= 0.999
        and each.unoccluded_fraction >= 0.9
    ]
    assert len(visible) > 50
    for annotation in visible:
        center = np.mean(bounds[annotation.landmark], axis=0)
        x, y, z = annotation.intrinsics @ (annotation.pose @ [*center, 1.0])
        rows, columns = np.nonzero(annotation.mask)
        assert z > 0
        assert columns.min() - 3 <= x / z <= columns.max() + 3
        assert rows.min() - 3 <= y / z <= rows.max() + 3


def test_damaged_and_missing_files_are_listed(tmp_path):
    for name in ("SHA256SUMS", "README.md"):
        shutil.copyfile(rendered.ROOT / name, tmp_path / name)
    (tmp_path / "README.md").write_text("changed")
    damaged = rendered.damaged(tmp_path)
    assert "README.md" in damaged
    assert "eval/truth.jsonl" in damaged


def test_a_copy_in_the_data_folder_is_preferred(tmp_path):
    assert rendered.find_folder(tmp_path) == rendered.ROOT
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks" / "SHA256SUMS").touch()
    assert rendered.find_folder(tmp_path) == tmp_path / "landmarks"
    assert rendered.find_folder(tmp_path, "rendered_large") == rendered.LARGE


def test_a_folder_without_the_set(tmp_path):
    with pytest.raises(
        DatasetError, match=r"the rendered data set \(SHA256SUMS is missing\)\. Fix: "
    ):
        rendered.load(tmp_path)
