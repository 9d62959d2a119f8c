"""Classes, splits, order and reading of training photos."""

import numpy as np
import pytest
from worlds import classes, draw, flat, save, settings

from delfjax.datasets.benchmark import DatasetError
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError, read_image
from delfjax.training import data
from delfjax.training.data import (
    SquareReader,
    batch_rows,
    center_square,
    epoch_rows,
    label_by_folder,
    split_validation,
)

LABELS = np.array([0] * 7 + [1] * 2 + [2] * 3)  # classes of different sizes


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return three classes of four photos each."""
    return label_by_folder(classes(tmp_path_factory.mktemp("data"), 3, 4))


def names(photos):
    return photos.folder.names


# --- classes


def test_class_of_a_photo_is_its_folder(photos):
    assert photos.classes == ("a", "b", "c")
    assert [name[0] for name in names(photos)] == [photos.classes[label] for label in photos.labels]


@pytest.mark.parametrize("shared", ["train", "some/where/train"])
def test_folders_shared_by_all_photos_are_no_classes(tmp_path, shared):
    for name in ("a/0.png", "a/1.png", "b/more/0.png"):
        save(tmp_path / shared / name, draw(0))
    found = label_by_folder(scan(tmp_path))
    assert found.classes == ("a", "b")
    assert names(found) == tuple(
        f"{shared}/{name}" for name in ("a/0.png", "a/1.png", "b/more/0.png")
    )


def test_photos_outside_of_class_folders_are_left_out(tmp_path):
    classes(tmp_path, 2, 1)
    save(tmp_path / "stray.png", draw(0))
    assert names(label_by_folder(scan(tmp_path))) == ("a/0.png", "b/0.png")


def test_fewer_than_two_classes_are_refused(tmp_path):
    classes(tmp_path / "one", 1)
    flat(tmp_path / "flat", 2)
    for folder in ("one", "flat"):
        with pytest.raises(DatasetError, match=f"{folder}.*expected at least two sub-folders"):
            label_by_folder(scan(tmp_path / folder))


# --- validation split


def test_each_class_is_split(photos):
    training, held = split_validation(photos, 0.25, seed=0)
    assert np.bincount(training.labels).tolist() == [3, 3, 3]
    assert np.bincount(held.labels).tolist() == [1, 1, 1]
    assert sorted(names(training) + names(held)) == sorted(names(photos))
    assert training.classes == held.classes == photos.classes
    assert all(
        name[0] == held.classes[label] for name, label in zip(names(held), held.labels, strict=True)
    )


def test_split_depends_only_on_the_seed(photos):
    first, same, other = (names(split_validation(photos, 0.5, seed=s)[1]) for s in (0, 0, 1))
    assert first == same != other


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (1.0, 9)])
def test_training_set_keeps_a_photo_of_each_class(photos, fraction, count):
    training, held = split_validation(photos, fraction, seed=0)
    assert len(held) == count
    assert set(training.labels) == {0, 1, 2}


# --- order


@pytest.mark.parametrize("batch_size", [1, 5, 12, 30])
def test_each_epoch_contains_every_photo_once(batch_size):
    config = settings(batch_size=batch_size, seed=3)
    stream = np.concatenate([batch_rows(LABELS, config, step) for step in range(60)])
    for epoch in range(len(stream) // 12):
        assert sorted(stream[12 * epoch : 12 * epoch + 12]) == list(range(12))


def test_epochs_differ_and_seeds_differ():
    orders = [
        tuple(epoch_rows(LABELS, settings(seed=seed), epoch))
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


def test_balanced_epochs_contain_all_classes_equally_often_and_every_photo():
    config = settings(batch_size=7, balance_classes=True)
    rows = epoch_rows(LABELS, config, 0)
    np.testing.assert_array_equal(
        rows, np.concatenate([batch_rows(LABELS, config, step) for step in range(3)])
    )
    assert np.bincount(LABELS[rows]).tolist() == [7, 7, 7]
    assert set(rows) == set(range(12))
    assert max(np.bincount(rows)[7:9]) <= 4  # the two photos of class 1 alternate


# --- reading


def test_batches_contain_squares_and_their_classes(photos):
    rows = np.array([3, 0, 11])
    squares, labels = SquareReader(photos, 48)(rows)
    assert labels.dtype == np.int32
    assert labels.tolist() == photos.labels[rows].tolist()
    for square, row in zip(squares, rows, strict=True):
        photo = read_image(photos.folder.path(names(photos)[row]))
        np.testing.assert_array_equal(square, center_square(photo))


@pytest.mark.parametrize(("cache_bytes", "reads"), [(0, 24), (2**20, 12)])
def test_photos_that_fit_into_memory_are_read_once(photos, monkeypatch, cache_bytes, reads):
    read = []
    original = data.center_square
    monkeypatch.setattr(data, "center_square", lambda photo: read.append(1) or original(photo))
    monkeypatch.setattr(data, "CACHE_BYTES", cache_bytes)
    reader = SquareReader(photos, 20)
    first, second = (reader(np.arange(12)) for _ in range(2))
    assert len(read) == reads
    np.testing.assert_array_equal(first[0], second[0])


def test_broken_photo_is_listed_and_replaced_by_the_next_one(tmp_path):
    photos = label_by_folder(classes(tmp_path, 2, 2))
    photos.folder.path("a/1.png").write_text("no photo")
    reader = SquareReader(photos, 20)
    squares, labels = reader(np.array([0, 1, 2]))
    assert list(reader.failed) == ["a/1.png"]
    assert labels.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(squares[1], squares[2])


def test_only_broken_photos_are_an_error(tmp_path):
    photos = label_by_folder(classes(tmp_path, 2, 1))
    for name in names(photos):
        photos.folder.path(name).write_text("no photo")
    with pytest.raises(PhotoError, match=r"a/0.png is not an image"):
        SquareReader(photos, 20)(np.array([0]))
