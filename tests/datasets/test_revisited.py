"""Revisited Oxford and Paris, and their distractors."""

import pickle

import fakes
import numpy as np
import pytest

from delfjax import datasets
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.revisited import distractors
from delfjax.evaluation.metrics import evaluate
from delfjax.images.reading import Box


def load(root, truth=None, name="roxford5k"):
    fakes.revisited(root, name, truth)
    return datasets.load(name, root)


def refuse(root, truth, *words):
    """Check that ground truth cannot be loaded, for a reason in these words."""
    with pytest.raises(DatasetError) as caught:
        load(root, truth)
    for word in ("gnd_roxford5k.pkl", *words):
        assert word in str(caught.value)


def changed(query=0, **values):
    """The ground truth with something of a query changed."""
    truth = fakes.gnd()
    truth["gnd"][query] |= values
    return truth


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
def test_what_is_read(tmp_path, name):
    found = load(tmp_path, name=name)
    assert found.name == name
    assert found.database == tuple(f"{name}/jpg/all_souls_{i:06d}.jpg" for i in range(8))
    assert [query.name for query in found.queries] == fakes.gnd()["qimlist"]
    assert found.queries[0].photo == f"{name}/jpg/all_souls_000100.jpg"
    assert found.queries[1].box == Box(top=2.0, left=4.5, bottom=46.25, right=60.0)
    assert not set(found.database).intersection(query.photo for query in found.queries)


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


def test_queries_without_positives_are_in_no_mean(tmp_path):
    """The worked example of ROxford: 0.7083333, 0.7111111 and 0.25."""
    truth = changed(easy=[0, 1], hard=[2], junk=[3])
    rankings = [[0, 4, 3, 2, 5, 1, 6, 7], [4, *range(4), 5, 6, 7], [5, 6, 0, 1, 2, 3, 4, 7]]
    truths = load(tmp_path, truth).truths
    means = {p: evaluate(rankings, truths[p], ks=[1]).mean_average_precision for p in truths}
    assert means["easy"] == pytest.approx((0.7083333 + 1) / 2, abs=1e-7)
    assert means["medium"] == pytest.approx((0.7111111 + 1 + 1) / 3, abs=1e-7)
    assert means["hard"] == pytest.approx((0.25 + 1) / 2, abs=1e-7)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint16])
def test_numbers_may_be_arrays(tmp_path, kind):
    numbers = {level: np.array(each, kind) for level, each in (("easy", [0, 1]), ("hard", [2]))}
    found = load(tmp_path, changed(**numbers, bbx=np.array([4, 2, 60, 46], kind)))
    assert found.truths["medium"][0].positives.tolist() == [0, 1, 2]
    assert found.queries[0].box == Box(top=2, left=4, bottom=46, right=60)


@pytest.mark.parametrize("protocol", range(5))
def test_every_protocol_of_pickle(tmp_path, protocol):
    folder, truth = fakes.revisited(tmp_path), fakes.gnd()
    truth["gnd"][1] |= {"bbx": [1, 2, 30, 40], "easy": [4], "hard": []}
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth, protocol=protocol))
    assert len(datasets.load("roxford5k", tmp_path).queries) == 3


# --- what is refused


@pytest.mark.parametrize("level", ["easy", "hard", "junk"])
@pytest.mark.parametrize("number", [8, -1, 10**30])
def test_a_number_out_of_range(tmp_path, level, number):
    truth = changed(1, **{level: [7, number]})
    refuse(tmp_path, truth, "query all_souls_000101", f"{level} has photo {number}", "0 to 7")


@pytest.mark.parametrize(
    "numbers",
    [
        None,
        3,
        "12",
        [[1], [2, 3]],
        [1.0],
        [True],
        ["1"],
        np.array(3),
        np.ones((1, 2), int),
        np.ones(2),
    ],
)
def test_no_list_of_numbers(tmp_path, numbers):
    refuse(tmp_path, changed(easy=numbers), "all_souls_000100: easy", "flat list of integers")


def test_a_level_is_missing(tmp_path):
    truth = fakes.gnd()
    del truth["gnd"][2]["hard"]
    refuse(tmp_path, truth, "oxford_000102: hard None")


def test_a_photo_of_two_levels(tmp_path):
    refuse(tmp_path, changed(hard=[1, 2]), "query all_souls_000100", "[1] listed twice")


@pytest.mark.parametrize(
    "box",
    [None, 3, [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, "x", 4], [1, 2, None, 4], [1, 2, 3, 10**400]],
)
def test_no_box(tmp_path, box):
    refuse(tmp_path, changed(bbx=box), "query all_souls_000100: bbx", "four numbers")


@pytest.mark.parametrize("box", [[70, 2, 80, 40], [30, 2, 4, 40], [4, 50, 60, 60]])
def test_a_box_outside_the_photo(tmp_path, box):
    refuse(tmp_path, changed(bbx=box), "query all_souls_000100: box", "64 pixels wide")


def test_photos_that_are_absent(tmp_path):
    truth = fakes.gnd()
    truth["imlist"] += [f"keble_{number:06d}" for number in range(12)]
    refuse(tmp_path, truth, "keble_000000.jpg", "keble_000009.jpg and 2 more", "no such photo")


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
    refuse(tmp_path, truth, "expected a dict of lists: imlist, qimlist and gnd")


@pytest.mark.parametrize("name", [3, "../../secret", "jpg/a"])
def test_names_that_are_no_names(tmp_path, name):
    truth = fakes.gnd()
    truth["imlist"][0] = name
    refuse(tmp_path, truth, repr(name), "without folder")


def test_a_query_that_is_in_the_database(tmp_path):
    truth = fakes.gnd()
    truth["imlist"].append(truth["qimlist"][0])
    refuse(tmp_path, truth, "all_souls_000100 is in qimlist and imlist")


@pytest.mark.parametrize("stated", [[], [{}], [1, 2, 3]])
def test_names_and_queries_differ_in_number(tmp_path, stated):
    refuse(tmp_path, fakes.gnd() | {"gnd": stated}, "a dict for each name")


def test_a_photo_is_listed_twice(tmp_path):
    truth = fakes.gnd()
    truth["imlist"][1] = truth["imlist"][0]
    with pytest.raises(DatasetError, match=r"all_souls_000000\.jpg' is listed twice"):
        load(tmp_path, truth)


def test_a_pickle_that_runs_something(tmp_path):
    class Evil:
        def __reduce__(self):
            return (fakes.write, (tmp_path / "harm", b""))

    refuse(tmp_path, fakes.gnd() | {"evil": Evil()})
    assert not (tmp_path / "harm").exists()


def test_no_pickle(tmp_path):
    folder = fakes.revisited(tmp_path)
    (folder / "gnd_roxford5k.pkl").write_bytes(fakes.WEB_PAGE)
    with pytest.raises(DatasetError, match=r"gnd_roxford5k\.pkl"):
        datasets.load("roxford5k", tmp_path)


# --- distractors


def test_distractors_by_their_list(tmp_path):
    folder = fakes.revisitop1m(tmp_path)
    fakes.write(folder / "jpg" / "2" / "unlisted.jpg", fakes.view(0))
    assert distractors(folder) == ("jpg/0a/a.jpg", "jpg/0a/b.jpg", "jpg/1/c.jpg")


def test_distractors_without_a_list(tmp_path):
    folder = fakes.revisitop1m(tmp_path)
    (folder / "revisitop1m.txt").unlink()
    assert distractors(folder) == ("jpg/0a/a.jpg", "jpg/0a/b.jpg", "jpg/1/c.jpg")


def test_listed_distractors_are_not_looked_for(tmp_path):
    fakes.revisited(tmp_path)
    fakes.write(tmp_path / "revisitop1m" / "revisitop1m.txt", "0a/gone.jpg\n")
    fakes.write(tmp_path / "revisitop1m" / "jpg" / "there.jpg", b"")
    found = datasets.load("roxford5k+revisitop1m", tmp_path)
    assert found.distractor_photos.names == ("revisitop1m/jpg/0a/gone.jpg",)
    assert len(found.base_photos) == 8


@pytest.mark.parametrize("line", ["../secret.jpg", "/etc/secret.jpg", "0a/../../b.jpg"])
def test_a_list_that_leads_elsewhere(tmp_path, line):
    folder = fakes.revisitop1m(tmp_path)
    (folder / "revisitop1m.txt").write_text(f"0a/a.jpg\n{line}\n")
    with pytest.raises(DatasetError, match=r"revisitop1m\.txt, line 2: .*expected a photo within"):
        distractors(folder)
