"""Benchmarks of a folder with one sub-folder per class."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfjax import datasets
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.datasets.labeled_folder import describe_classes, find_classes, labeled
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError
from delfjax.training.data import label_by_folder

CLASSES = (*("petra/a.jpg", "petra/b.jpg", "petra/x/test.jpg", "rome/a.jpg", "rome/test.jpg"),)


def make_folder(root: Path, names=CLASSES) -> Path:
    """Make empty files: no photo is read."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def truths_by_name(benchmark):
    """Return the names of positives and junk for the name of each query."""
    names = np.array(benchmark.database)
    return {
        query.name: (set(names[truth.positives]), set(names[truth.junk]))
        for query, truth in zip(benchmark.queries, benchmark.truths[STANDARD], strict=True)
    }


def test_the_positives_are_the_other_photos_of_the_class(tmp_path):
    folder = make_folder(tmp_path / "photos")
    benchmark = labeled(folder)
    assert benchmark.database == benchmark.query_photos.names == CLASSES
    assert (benchmark.name, benchmark.root) == ("photos", folder)
    truths = truths_by_name(benchmark)
    assert truths["petra/b.jpg"] == ({"petra/a.jpg", "petra/x/test.jpg"}, {"petra/b.jpg"})
    assert truths["rome/a.jpg"] == ({"rome/test.jpg"}, {"rome/a.jpg"})


def test_the_folder_may_be_a_string(tmp_path):
    assert datasets.labeled(str(make_folder(tmp_path))).database == CLASSES


def test_queries_outside_the_database(tmp_path):
    benchmark = labeled(make_folder(tmp_path), queries="test*", database="a*")
    assert benchmark.database == ("petra/a.jpg", "rome/a.jpg")
    assert truths_by_name(benchmark) == {
        "petra/x/test.jpg": ({"petra/a.jpg"}, set()),
        "rome/test.jpg": ({"rome/a.jpg"}, set()),
    }


def test_a_photo_outside_the_sub_folders_is_a_class_of_its_own(tmp_path):
    names = ("1.jpg", "2.jpg", "petra/a.jpg", "petra/b.jpg", "rome/a.jpg")
    truths = truths_by_name(labeled(make_folder(tmp_path, names)))
    assert truths["1.jpg"] == (set(), {"1.jpg"})
    assert truths["petra/a.jpg"] == ({"petra/b.jpg"}, {"petra/a.jpg"})


def test_a_class_that_the_database_lacks(tmp_path):
    folder = make_folder(tmp_path, ("petra/a.jpg", "rome/q.jpg"))
    assert truths_by_name(labeled(folder, "q*", "a*")) == {"rome/q.jpg": (set(), set())}


def test_a_folder_without_sub_folders(tmp_path):
    with pytest.raises(
        DatasetError, match="no sub-folders; expected at least two sub-folders, one per class"
    ):
        labeled(make_folder(tmp_path, ("1.jpg", "2.jpg")))


def test_one_class_is_refused_and_named(tmp_path):
    with pytest.raises(DatasetError, match=r"x: has one class \(petra\); expected at least two"):
        labeled(make_folder(tmp_path / "x", ("petra/a.jpg", "1.jpg", "petra/b/c.jpg")))


FOLDERS = st.sampled_from(["", "a/", "b/", "a/c/", "b/d/", "c/"])
OUTER = st.sampled_from(["", "photos/", "photos/train/"])


@settings(deadline=None, max_examples=30)
@given(
    OUTER, st.lists(st.tuples(FOLDERS, st.sampled_from(["1.jpg", "2.jpg", "3.json"])), min_size=1)
)
def test_training_and_evaluation_find_the_same_classes(outer, files):
    names = {f"{outer}{folder}{name}" for folder, name in files}
    with tempfile.TemporaryDirectory() as folder:
        photos = scan(make_folder(Path(folder), names | {f"{outer}z/z.jpg"}))
        try:
            classes = find_classes(photos)
        except DatasetError:
            for use in (labeled, label_by_folder, describe_classes):
                with pytest.raises(DatasetError, match="expected at least two sub-folders"):
                    use(photos)
            return
        benchmark, training = labeled(photos), label_by_folder(photos)
        assert training.classes == tuple(classes)
        assert describe_classes(photos).startswith(f"{len(classes)} classes: ")
        truths = truths_by_name(benchmark)
        for name, label in zip(training.folder.names, training.labels, strict=True):
            members = set(classes[training.classes[label]])
            assert truths[name] == (members - {name}, {name})
        for name in set(photos.names) - set(training.folder.names):
            assert truths[name] == (set(), {name})


def test_classes_are_described(tmp_path):
    photos = scan(make_folder(tmp_path, (*CLASSES, "stray.jpg", "petra/a.json", "petra/a.mov")))
    assert describe_classes(photos) == (
        "2 classes: petra (3), rome (2); photos in no class folder: 1, such as stray.jpg; "
        "2 files are not photos and were skipped (1 .json, 1 .mov)"
    )


def test_a_missing_folder(tmp_path):
    with pytest.raises(PhotoError, match="nowhere"):
        labeled(tmp_path / "nowhere")


@pytest.mark.parametrize("patterns", [("test_*", "*"), ("*", "TEST*")])
def test_a_pattern_that_matches_nothing(tmp_path, patterns):
    with pytest.raises(DatasetError, match=r"no file name matches the pattern '(test_|TEST)"):
        labeled(make_folder(tmp_path), *patterns)
