"""Revisited Oxford and Paris: what is read, and invalid ground truth."""

import pickle

import fakes
import pytest

from delfjax import datasets
from delfjax.datasets.benchmark import DatasetError
from delfjax.evaluation.metrics import score_rankings
from delfjax.types import Box


def load(root, truth=None, name="roxford5k"):
    fakes.revisited(root, name, truth)
    return datasets.load(name, root)


def expect_error(root, truth, *parts):
    """Check that ground truth cannot be loaded, and that the message has all parts."""
    with pytest.raises(DatasetError) as caught:
        load(root, truth)
    for part in ("gnd_roxford5k.pkl", *parts):
        assert part in str(caught.value)


def changed_truth(query=0, **values):
    """Return the ground truth with some values of a query replaced."""
    truth = fakes.gnd()
    truth["gnd"][query] |= values
    return truth


# --- valid files


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
def test_database_and_queries(tmp_path, name):
    benchmark = load(tmp_path, name=name)
    assert benchmark.name == name
    assert benchmark.database == tuple(f"{name}/jpg/all_souls_{i:06d}.jpg" for i in range(8))
    assert [query.name for query in benchmark.queries] == fakes.gnd()["qimlist"]
    assert benchmark.queries[0].photo == f"{name}/jpg/all_souls_000100.jpg"
    assert benchmark.queries[1].box == Box(top=2.0, left=4.5, bottom=46.25, right=60.0)
    assert not set(benchmark.database).intersection(query.photo for query in benchmark.queries)


def test_protocols(tmp_path):
    truths = load(tmp_path).truths
    assert list(truths) == ["medium", "easy", "hard"]
    assert {p: [truth.positives.tolist() for truth in truths[p]] for p in truths} == {
        "easy": [[0, 1], [4], []],
        "medium": [[0, 1, 2], [4], [5, 6]],
        "hard": [[2], [], [5, 6]],
    }
    assert {p: [truth.junk.tolist() for truth in truths[p]] for p in truths} == {
        "easy": [[3, 2], [], [5, 6]],
        "medium": [[3], [], []],
        "hard": [[3, 0, 1], [4], []],
    }


def test_queries_without_positives_do_not_count_in_the_mean(tmp_path):
    """Worked example of ROxford: 0.7083333, 0.7111111 and 0.25."""
    rankings = [[0, 4, 3, 2, 5, 1, 6, 7], [4, *range(4), 5, 6, 7], [5, 6, 0, 1, 2, 3, 4, 7]]
    truths = load(tmp_path).truths
    means = {p: score_rankings(rankings, truths[p], ks=[1]).mean_average_precision for p in truths}
    assert means["easy"] == pytest.approx((0.7083333 + 1) / 2, abs=1e-7)
    assert means["medium"] == pytest.approx((0.7111111 + 1 + 1) / 3, abs=1e-7)
    assert means["hard"] == pytest.approx((0.25 + 1) / 2, abs=1e-7)


@pytest.mark.parametrize("protocol", range(5))
def test_every_protocol_of_pickle(tmp_path, protocol):
    folder = fakes.revisited(tmp_path)
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(fakes.gnd(), protocol=protocol))
    assert len(datasets.load("roxford5k", tmp_path).queries) == 3


# --- invalid ground truth


@pytest.mark.parametrize("level", ["easy", "hard", "junk"])
@pytest.mark.parametrize("number", [8, -1, 10**30])
def test_a_photo_number_out_of_range(tmp_path, level, number):
    truth = changed_truth(1, **{level: [7, number]})
    expect_error(tmp_path, truth, "query all_souls_000101", f"{level} is [7, {number}]", "0 to 7")


@pytest.mark.parametrize("numbers", [None, 3, "12", (1, 2), [[1], [2, 3]], [1.0], [True], ["1"]])
def test_photo_numbers_that_are_not_a_list_of_integers(tmp_path, numbers):
    expect_error(
        tmp_path, changed_truth(easy=numbers), "all_souls_000100: easy", "a list of integers"
    )


def test_the_message_about_huge_nested_lists_is_short(tmp_path):
    nested = []
    for _ in range(100):  # printed completely, it would have 2 ** 100 brackets
        nested = [nested, nested]
    expect_error(tmp_path, changed_truth(easy=nested), "a list of integers")


def test_a_missing_level(tmp_path):
    truth = fakes.gnd()
    del truth["gnd"][2]["hard"]
    expect_error(tmp_path, truth, "oxford_000102: hard is None")


def test_a_photo_of_two_levels(tmp_path):
    expect_error(
        tmp_path, changed_truth(hard=[1, 2]), "query all_souls_000100", "[1] occur more than once"
    )


@pytest.mark.parametrize(
    "box",
    [None, 3, [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, "x", 4], [1, 2, None, 4], [1, 2, 3, 10**400]],
)
def test_an_invalid_box(tmp_path, box):
    expect_error(tmp_path, changed_truth(bbx=box), "query all_souls_000100: box", "four numbers")


@pytest.mark.parametrize("box", [[70, 2, 80, 40], [30, 2, 4, 40], [4, 50, 60, 60]])
def test_a_box_outside_the_photo(tmp_path, box):
    expect_error(tmp_path, changed_truth(bbx=box), "query all_souls_000100: box", "64 pixels wide")


def test_listed_photos_that_are_missing(tmp_path):
    truth = fakes.gnd()
    truth["imlist"] += [f"keble_{number:06d}" for number in range(12)]
    expect_error(
        tmp_path, truth, "keble_000000.jpg", "keble_000009.jpg and 2 more", "photos are missing"
    )


@pytest.mark.parametrize(
    "truth",
    [
        [],
        {},
        {"imlist": ["a"], "qimlist": ["b"]},
        {"imlist": "ab", "qimlist": ["b"], "gnd": [{}]},
        {"imlist": ["a"], "qimlist": ["b"], "gnd": {}},
    ],
)
def test_another_structure(tmp_path, truth):
    expect_error(tmp_path, truth, "not a dict of the lists imlist, qimlist and gnd")


@pytest.mark.parametrize("name", [3, "../../secret", "jpg/a"])
def test_an_invalid_photo_name(tmp_path, name):
    truth = fakes.gnd()
    truth["imlist"][0] = name
    expect_error(tmp_path, truth, repr(name), "without folder")


def test_a_query_that_is_in_the_database(tmp_path):
    truth = fakes.gnd()
    truth["imlist"].append(truth["qimlist"][0])
    expect_error(tmp_path, truth, "all_souls_000100 is in both qimlist and imlist")


@pytest.mark.parametrize("annotations", [[], [{}], [1, 2, 3]])
def test_another_number_of_names_than_of_annotations(tmp_path, annotations):
    expect_error(
        tmp_path, fakes.gnd() | {"gnd": annotations}, "one entry of gnd, a dict, for each name"
    )


def test_a_photo_that_is_listed_twice(tmp_path):
    truth = fakes.gnd()
    truth["imlist"][1] = truth["imlist"][0]
    with pytest.raises(DatasetError, match=r"all_souls_000000\.jpg' is listed twice"):
        load(tmp_path, truth)


def test_a_pickle_that_would_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (fakes.write, (tmp_path / "harm", b""))

    expect_error(tmp_path, fakes.gnd() | {"evil": Evil()})
    assert not (tmp_path / "harm").exists()


def test_a_file_that_is_not_a_pickle(tmp_path):
    folder = fakes.revisited(tmp_path)
    (folder / "gnd_roxford5k.pkl").write_bytes(fakes.WEB_PAGE)
    with pytest.raises(DatasetError, match=r"gnd_roxford5k\.pkl"):
        datasets.load("roxford5k", tmp_path)
