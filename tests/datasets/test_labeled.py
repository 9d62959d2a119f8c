"""A folder with one sub-folder a class, as a benchmark."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.datasets.labeled_folder import labeled
from delfjax.images.reading import Path, PhotoFolder


def folder_of(*names):
    return PhotoFolder(root=Path("photos"), names=names)


CLASSES = folder_of("petra/a.jpg", "petra/b.jpg", "petra/x/test.jpg", "rome/a.jpg", "rome/test.jpg")


def truth(benchmark):
    """Positives and junk of each query, by their names."""
    names = np.array(benchmark.database)
    return {
        query.name: (set(names[each.positives]), set(names[each.junk]))
        for query, each in zip(benchmark.queries, benchmark.truths[STANDARD], strict=True)
    }


def test_every_photo_asks_for_the_others_of_its_class():
    found = labeled(CLASSES)
    assert found.database == found.query_photos.names == CLASSES.names
    assert (found.name, found.root) == ("photos", Path("photos"))
    assert truth(found)["petra/b.jpg"] == ({"petra/a.jpg", "petra/x/test.jpg"}, {"petra/b.jpg"})
    assert truth(found)["rome/a.jpg"] == ({"rome/test.jpg"}, {"rome/a.jpg"})


def test_queries_apart_from_the_database():
    found = labeled(CLASSES, "test*", "a*")
    assert found.database == ("petra/a.jpg", "rome/a.jpg")
    assert truth(found) == {
        "petra/x/test.jpg": ({"petra/a.jpg"}, set()),
        "rome/test.jpg": ({"rome/a.jpg"}, set()),
    }


def test_photos_beside_the_folders_are_alone_of_their_class():
    found = labeled(folder_of("1.jpg", "2.jpg", "petra/a.jpg", "petra/b.jpg"))
    assert truth(found)["1.jpg"] == (set(), {"1.jpg"})
    assert truth(found)["petra/a.jpg"] == ({"petra/b.jpg"}, {"petra/a.jpg"})


def test_a_class_that_is_not_in_the_database():
    found = labeled(folder_of("petra/a.jpg", "rome/q.jpg"), "q*", "a*")
    assert truth(found) == {"rome/q.jpg": (set(), set())}


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_agrees_with_comparing_every_pair(classes):
    names = sorted(f"{label}/{number}.jpg" for number, label in enumerate(classes))
    for name, (positives, junk) in truth(labeled(folder_of(*names))).items():
        assert positives == {other for other in names if other[0] == name[0] and other != name}
        assert junk == {name}


def test_refuses_a_folder_without_classes():
    with pytest.raises(DatasetError, match="photos: expected one sub-folder a class"):
        labeled(folder_of("1.jpg", "2.jpg"))


@pytest.mark.parametrize("patterns", [("test_*", "*"), ("*", "TEST*")])
def test_refuses_a_pattern_that_matches_nothing(patterns):
    with pytest.raises(DatasetError, match=r"no photo's file name matches '(test_|TEST)"):
        labeled(CLASSES, *patterns)
