"""Files for hloc, read back as hloc reads them (hloc.utils.io and hloc.utils.parsers)."""

import h5py
import numpy as np
import pytest
from places import AFFINE, place, view

from delfjax.features.database import Database
from delfjax.search.hloc import export_hloc
from delfjax.search.searcher import Searcher


@pytest.fixture
def searcher():
    """Two photos of one place, in folders, and two other photos."""
    one = place(1)
    photos = {"a/one.jpg": one, "b/other-1.jpg": view(one, 2), "c.jpg": place(3), "d.jpg": place(4)}
    return Searcher(Database.from_features([*photos], [*photos.values()]))


def read_pairs(path):
    return [tuple(line.split()) for line in path.read_text().splitlines()]


def read_keypoints(path, name):
    with h5py.File(path, "r") as file:
        return file[name]["keypoints"][:], file[name]["image_size"][:]


def read_matches(path, name0, name1):
    """Read matched rows of two photos. The pair is in the file in either order."""
    with h5py.File(path, "r") as file:
        one, other = (name.replace("/", "-") for name in (name0, name1))
        is_reversed = f"{one}/{other}" not in file
        group = file[f"{other}/{one}" if is_reversed else f"{one}/{other}"]
        matches, scores = group["matches0"][:], group["matching_scores0"][:]
    rows = np.flatnonzero(matches != -1)
    found = np.stack([rows, matches[rows]], axis=-1)
    return found[:, ::-1] if is_reversed else found, scores[rows]


def test_matched_keypoints_agree_with_the_map_between_the_photos(searcher, tmp_path):
    export_hloc(searcher, tmp_path, top=3)
    one, other = "a/one.jpg", "b/other-1.jpg"
    for order in ((one, other), (other, one)):
        matches, scores = read_matches(tmp_path / "matches.h5", *order)
        assert len(matches) == 60
        assert (scores > 0.9).all()
        a, b = (
            read_keypoints(tmp_path / "features.h5", name)[0][rows][:, ::-1]  # to (y, x)
            for name, rows in zip(order, matches.T, strict=True)
        )
        here, there = (a, b) if order[0] == one else (b, a)
        np.testing.assert_allclose(here @ AFFINE[:, :2].T + AFFINE[:, 2], there, atol=1e-3)


def test_features_are_those_of_the_database_in_x_y(searcher, tmp_path):
    export_hloc(searcher, tmp_path, top=1)
    database = searcher.database
    for photo, name in enumerate(database.names):
        features = database.features(photo)
        keypoints, size = read_keypoints(tmp_path / "features.h5", name)
        np.testing.assert_array_equal(keypoints, features.positions[:, ::-1])
        assert size.tolist() == [640, 480]  # width, height
        with h5py.File(tmp_path / "features.h5", "r") as file:
            np.testing.assert_array_equal(file[name]["descriptors"][:], features.descriptors.T)
            np.testing.assert_array_equal(file[name]["scores"][:], features.scores)


def test_each_pair_is_listed_once_and_has_matches(searcher, tmp_path):
    export_hloc(searcher, tmp_path, top=3)
    pairs = read_pairs(tmp_path / "pairs.txt")
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) > 1
    for pair in pairs:
        assert len(read_matches(tmp_path / "matches.h5", *pair)[0])


@pytest.mark.parametrize(
    "names", [("a b.jpg", "c.jpg"), (" a.jpg", "c.jpg"), ("a/b.jpg", "a-b.jpg")]
)
def test_names_that_hloc_cannot_read_are_refused(tmp_path, names):
    searcher = Searcher(Database.from_features(names, [place(1), place(2)]))
    with pytest.raises(ValueError, match=r"photo ' ?a.* Fix: rename the photo"):
        export_hloc(searcher, tmp_path)
    assert not any(tmp_path.iterdir())
