"""INRIA Holidays: what is read, and invalid folders."""

import fakes
import pytest

from delfjax import datasets
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.evaluation.metrics import score_rankings


def expect_error(root, *parts):
    with pytest.raises(DatasetError) as caught:
        datasets.load("holidays", root)
    for part in parts:
        assert part in str(caught.value)


def test_database_queries_and_truth(tmp_path):
    fakes.holidays(tmp_path)
    benchmark = datasets.load("holidays", tmp_path)
    assert benchmark.database == tuple(
        f"holidays/jpg/{name}.jpg" for name in ("100000", "100001", "100100", "100101", "100102")
    )
    assert [query.name for query in benchmark.queries] == ["100000", "100100"]
    assert {query.box for query in benchmark.queries} == {None}
    assert benchmark.query_photos.names == (benchmark.database[0], benchmark.database[2])
    truths = benchmark.truths[STANDARD]
    assert [truth.positives.tolist() for truth in truths] == [[1], [3, 4]]
    assert [truth.junk.tolist() for truth in truths] == [[0], [2]]


def test_without_the_list_all_photos_are_used(tmp_path):
    folder = fakes.holidays(tmp_path, listed=False)
    fakes.write(folder / "jpg" / "README", "photos\n")
    truths = datasets.load("holidays", tmp_path).truths[STANDARD]
    assert [truth.positives.tolist() for truth in truths] == [[1], [3, 4, 5]]


def test_the_list_may_lie_in_a_sub_folder(tmp_path):
    folder = fakes.holidays(tmp_path)
    listed = folder / "holidays_images.dat"
    listed.rename(fakes.write(folder / "eval_holidays" / listed.name, ""))
    assert len(datasets.load("holidays", tmp_path).database) == 5


@pytest.mark.parametrize("rank", range(5))
def test_the_rank_of_the_query_itself_does_not_matter(tmp_path, rank):
    """Worked example: positives at ranks 0 and 3 after the query is removed, 0.7083333."""
    fakes.holidays(tmp_path)
    ranking = [3, 0, 1, 4]
    ranking.insert(rank, 2)
    truth = datasets.load("holidays", tmp_path).truths[STANDARD][1]
    scores = score_rankings([ranking], [truth], ks=[1])
    assert scores.mean_average_precision == pytest.approx(0.7083333, abs=1e-7)


# --- invalid folders


def test_listed_photos_that_are_missing(tmp_path):
    folder = fakes.holidays(tmp_path)
    with (folder / "holidays_images.dat").open("a") as file:
        file.write("149900.jpg\n149901.jpg\n")
    expect_error(tmp_path, "holidays_images.dat, line 6", "149900.jpg, 149901.jpg", "missing")


@pytest.mark.parametrize("name", ["100000.jpg", "100001.jpg"])
def test_a_scene_without_query_or_without_positives(tmp_path, name):
    folder = fakes.holidays(tmp_path, listed=False)
    (folder / "jpg" / name).unlink()
    expect_error(tmp_path, "scene 1000 is incomplete", "100000.jpg")


@pytest.mark.parametrize("name", ["beach.jpg", "1000.jpg", "1000000.jpg", "10000٣.jpg"])
def test_an_invalid_file_name(tmp_path, name):
    folder = fakes.holidays(tmp_path, listed=False)
    fakes.write(folder / "jpg" / name, fakes.view(0))
    expect_error(tmp_path, f"{name!r}; expected six digits")


def test_a_photo_that_is_listed_twice(tmp_path):
    folder = fakes.holidays(tmp_path)
    with (folder / "holidays_images.dat").open("a") as file:
        file.write("100001.jpg\n")
    expect_error(tmp_path, "100001.jpg' is listed twice")
