"""INRIA Holidays."""

import fakes
import pytest

from delfjax import datasets
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.evaluation.metrics import evaluate


def refuse(root, *words):
    with pytest.raises(DatasetError) as caught:
        datasets.load("holidays", root)
    for word in words:
        assert word in str(caught.value)


def test_what_is_read(tmp_path):
    fakes.holidays(tmp_path)
    found = datasets.load("holidays", tmp_path)
    assert found.database == tuple(
        f"holidays/jpg/{name}.jpg" for name in ("100000", "100001", "100100", "100101", "100102")
    )
    assert [query.name for query in found.queries] == ["100000", "100100"]
    assert {query.box for query in found.queries} == {None}
    assert found.query_photos.names == (found.database[0], found.database[2])
    truths = found.truths[STANDARD]
    assert [truth.positives.tolist() for truth in truths] == [[1], [3, 4]]
    assert [truth.junk.tolist() for truth in truths] == [[0], [2]]


def test_without_the_list_every_photo_is_in(tmp_path):
    folder = fakes.holidays(tmp_path, listed=False)
    fakes.write(folder / "jpg" / "README", "photos\n")
    truths = datasets.load("holidays", tmp_path).truths[STANDARD]
    assert [truth.positives.tolist() for truth in truths] == [[1], [3, 4, 5]]


def test_the_list_may_lie_in_the_evaluation_package(tmp_path):
    folder = fakes.holidays(tmp_path)
    listed = folder / "holidays_images.dat"
    listed.rename(fakes.write(folder / "eval_holidays" / listed.name, ""))
    assert len(datasets.load("holidays", tmp_path).database) == 5


@pytest.mark.parametrize("place", range(5))
def test_the_query_is_ignored_wherever_it_is_ranked(tmp_path, place):
    """The worked example: positives at ranks 0 and 3 once the query is out, 0.7083333."""
    fakes.holidays(tmp_path)
    ranking = [3, 0, 1, 4]
    ranking.insert(place, 2)
    truth = datasets.load("holidays", tmp_path).truths[STANDARD][1]
    found = evaluate([ranking], [truth], ks=[1])
    assert found.mean_average_precision == pytest.approx(0.7083333, abs=1e-7)


# --- what is refused


def test_listed_photos_that_are_absent(tmp_path):
    folder = fakes.holidays(tmp_path)
    with (folder / "holidays_images.dat").open("a") as file:
        file.write("149900.jpg\n149901.jpg\n")
    refuse(tmp_path, "holidays_images.dat, line 6", "149900.jpg, 149901.jpg", "no such photo")


def test_a_scene_without_its_query(tmp_path):
    folder = fakes.holidays(tmp_path, listed=False)
    (folder / "jpg" / "100000.jpg").unlink()
    refuse(tmp_path, "scene 1000 is not whole", "100000.jpg")


def test_a_scene_of_one_photo(tmp_path):
    folder = fakes.holidays(tmp_path, listed=False)
    (folder / "jpg" / "100001.jpg").unlink()
    refuse(tmp_path, "scene 1000 is not whole")


@pytest.mark.parametrize("name", ["beach.jpg", "1000.jpg", "1000000.jpg", "10000٣.jpg"])
def test_a_name_that_is_no_number(tmp_path, name):
    folder = fakes.holidays(tmp_path, listed=False)
    fakes.write(folder / "jpg" / name, fakes.view(0))
    refuse(tmp_path, f"{name!r}; expected six digits")


def test_a_photo_is_listed_twice(tmp_path):
    folder = fakes.holidays(tmp_path)
    with (folder / "holidays_images.dat").open("a") as file:
        file.write("100001.jpg\n")
    refuse(tmp_path, "100001.jpg' is listed twice")
