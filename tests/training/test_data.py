"""Batches: which photos have which class, in which order, whatever was read before, and what is broken."""

import numpy as np
import pytest
from worlds import classes, draw, flat, save

from delfjax.images.reading import PhotoError, read_image, scan
from delfjax.training import data
from delfjax.training.augmentation import center_square
from delfjax.training.data import (
    Squares,
    batch_rows,
    batches,
    divide,
    epoch_length,
    epoch_order,
    labeled,
)

UNEVEN = np.array([0] * 7 + [1] * 2 + [2] * 3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of four photos."""
    return labeled(classes(tmp_path_factory.mktemp("loader"), 3, 4))


# --- classes


def test_class_is_the_folder(photos):
    assert photos.classes == ("a", "b", "c")
    assert [name[0] for name in photos.names] == [photos.classes[label] for label in photos.labels]


@pytest.mark.parametrize("shared", ["train", "some/where/train"])
def test_folders_that_all_photos_share_are_no_class(tmp_path, shared):
    for name in ("a/0.png", "a/1.png", "b/more/0.png"):
        save(tmp_path / shared / name, draw(0))
    found = labeled(scan(tmp_path))
    assert found.classes == ("a", "b")
    assert found.names == tuple(
        f"{shared}/{name}" for name in ("a/0.png", "a/1.png", "b/more/0.png")
    )


def test_photos_beside_the_folders_have_no_class(tmp_path):
    classes(tmp_path, 2, 1)
    save(tmp_path / "stray.png", draw(0))
    assert labeled(scan(tmp_path)).names == ("a/0.png", "b/0.png")


def test_one_class_is_not_enough(tmp_path):
    classes(tmp_path / "one", 1)
    flat(tmp_path / "flat", 2)
    for folder in ("one", "flat"):
        with pytest.raises(PhotoError, match=f"{folder}.*expected at least two sub-folders"):
            labeled(scan(tmp_path / folder))


# --- holding out


def test_each_class_is_divided(photos):
    learning, held = divide(photos, 0.25, seed=0)
    assert np.bincount(learning.labels).tolist() == [3, 3, 3]
    assert np.bincount(held.labels).tolist() == [1, 1, 1]
    assert sorted(learning.names + held.names) == sorted(photos.names)
    assert learning.classes == held.classes == photos.classes
    assert all(
        name[0] == held.classes[label] for name, label in zip(held.names, held.labels, strict=True)
    )


def test_division_depends_on_the_seed_alone(photos):
    first, again, other = (divide(photos, 0.5, seed=seed)[1].names for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_nothing_or_all_but_one_of_each_class_is_held_out(photos, part):
    learning, held = divide(photos, part, seed=0)
    assert len(held) == (0 if part == 0 else 9)
    assert set(learning.labels) == {0, 1, 2}


# --- order


@pytest.mark.parametrize("batch", [1, 5, 12, 30])
def test_each_epoch_holds_every_photo_once(batch):
    rows = [batch_rows(UNEVEN, batch=batch, step=step, seed=3) for step in range(60)]
    stream = np.concatenate(rows)
    for epoch in range(len(stream) // 12):
        assert sorted(stream[12 * epoch : 12 * epoch + 12]) == list(range(12))


def test_epochs_differ_and_seeds_differ():
    orders = [
        tuple(epoch_order(UNEVEN, seed=seed, epoch=epoch, balanced=False))
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


def test_balanced_epochs_hold_every_class_as_often_and_every_photo():
    order = epoch_order(UNEVEN, seed=0, epoch=0, balanced=True)
    assert len(order) == epoch_length(UNEVEN, balanced=True) == 21
    assert np.bincount(UNEVEN[order]).tolist() == [7, 7, 7]
    assert set(order) == set(range(12))
    assert max(np.bincount(order)[7:9]) <= 4  # two photos take turns to fill seven places


# --- batches


def test_batches_hold_squares_and_their_classes(photos):
    squares = Squares(photos, 48)
    ((pixels, labels),) = batches(squares, batch=5, steps=range(3, 4), seed=1)
    rows = batch_rows(photos.labels, batch=5, step=3, seed=1)
    assert labels.dtype == np.int32
    assert labels.tolist() == photos.labels[rows].tolist()
    for square, row in zip(pixels, rows, strict=True):
        whole = read_image(photos.photos.path(photos.names[row]))
        np.testing.assert_array_equal(square, center_square(whole))


@pytest.mark.parametrize("hold", [0, 2**20])
def test_any_step_can_come_first(photos, hold):
    every = list(batches(Squares(photos, 20, hold=hold), batch=5, steps=range(8), seed=0))
    later = list(batches(Squares(photos, 20, hold=hold), batch=5, steps=range(6, 8), seed=0))
    for (pixels, labels), (expected, right) in zip(later, every[6:], strict=True):
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(labels, right)


def test_hosts_read_their_parts_of_one_batch(photos):
    whole, one, other = (
        next(batches(Squares(photos, 20), batch=6, steps=range(1), seed=0, part=part))
        for part in (slice(None), slice(0, 3), slice(3, 6))
    )
    for all_, first, second in zip(whole, one, other, strict=True):
        np.testing.assert_array_equal(all_, np.concatenate([first, second]))


@pytest.mark.parametrize(("hold", "reads"), [(0, 24), (2**20, 12)])
def test_small_sets_are_read_once(photos, monkeypatch, hold, reads):
    read = []
    whole = data.center_square
    monkeypatch.setattr(data, "center_square", lambda photo: read.append(1) or whole(photo))
    squares = Squares(photos, 20, hold=hold)
    list(batches(squares, batch=6, steps=range(4), seed=0, ahead=1))
    assert len(read) == reads


def test_a_broken_photo_is_listed_and_replaced(tmp_path):
    photos = labeled(classes(tmp_path, 2, 2))
    photos.photos.path("a/1.png").write_text("no photo")
    squares = Squares(photos, 20)
    pixels, labels = squares(np.array([0, 1, 2]))
    assert list(squares.failed) == ["a/1.png"]
    assert labels.tolist() == [0, 1, 1]  # the next one, with its own class
    np.testing.assert_array_equal(pixels[1], pixels[2])


def test_nothing_but_broken_photos_is_an_error(tmp_path):
    photos = labeled(classes(tmp_path, 2, 1))
    for name in photos.names:
        photos.photos.path(name).write_text("no photo")
    with pytest.raises(PhotoError, match=r"a/0.png is not an image"):
        Squares(photos, 20)(np.array([0]))
