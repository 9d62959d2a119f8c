"""Google-Landmarks: csv files, and both versions."""

import fakes
import numpy as np
import pytest

from delfjax import datasets
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.datasets.google_files import (
    Prediction,
    Solution,
    read_categories,
    read_labels,
    read_recognition_predictions,
    read_recognition_solution,
    read_retrieval_predictions,
    read_retrieval_solution,
)
from delfjax.evaluation.google_landmarks import global_average_precision, retrieval

A, B, C, D, E = (f"0{digit}23456789abcdef" for digit in "12345")
INDEX = tuple(f"fedcba9876543{number}" for number in (210, 220, 230, 240))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.csv"


def refuse(read, path, text, *words):
    """Check that a file is refused by its name and line, for a reason in these words."""
    fakes.write(path, text)
    with pytest.raises(DatasetError) as caught:
        read(path)
    for word in ("file.csv", *words):
        assert word in str(caught.value)


# --- O3: solutions and predictions


RECOGNITION = fakes.csv(
    "id,landmarks,Usage",
    f"{A},0 12,Public",
    f"{B},,Public",
    f"{C},100,Ignored",
    f"{D},1,Private",
    f"{E},,Ignored",
)
RETRIEVAL = fakes.csv(
    "id,images,Usage",
    f"{A},None,Ignored",
    f"{B},{INDEX[0]} {INDEX[1]},Public",
    f"{C},{INDEX[2]},Private",
    f"{D},None,Ignored",
)


def test_recognition_solution(path):
    fakes.write(path, RECOGNITION)
    found = read_recognition_solution(path)
    assert found == Solution(public={A: (0, 12), B: ()}, private={D: (1,)}, ignored=(C, E))


def test_retrieval_solution(path):
    fakes.write(path, RETRIEVAL)
    expected = Solution(public={B: INDEX[:2]}, private={C: INDEX[2:3]}, ignored=(A, D))
    assert read_retrieval_solution(path) == read_retrieval_solution(path, INDEX) == expected


def test_none_is_ignored_whatever_its_usage(path):
    """The page of the data set names no usage but Public and Private."""
    fakes.write(path, RETRIEVAL.replace("None,Ignored", "None,Private"))
    assert read_retrieval_solution(path).ignored == (A, D)


def test_recognition_predictions(path):
    lines = ("id,landmarks", f"{A},12 0.1 ", f"{D},0 19.0", f"{B},", "", f"{E},14 0.01")
    solution = read_recognition_solution(fakes.write(path, RECOGNITION))
    found = read_recognition_predictions(fakes.write(path, fakes.csv(*lines)), solution)
    assert found.public == {A: Prediction(landmark=12, score=0.1)}
    assert found.private == {D: Prediction(landmark=0, score=19.0)}
    assert global_average_precision(found.public, solution.public) == 1


def test_retrieval_predictions(path):
    one, two = INDEX[:2]
    lines = ("id,images", f"{B},{two} {one} ", "", f"{C},", f"{A},{one}")
    solution = read_retrieval_solution(fakes.write(path, RETRIEVAL))
    found = read_retrieval_predictions(fakes.write(path, fakes.csv(*lines)), solution)
    assert (found.public, found.private) == ({B: (two, one)}, {})
    assert retrieval(found.public, solution.public).mean_average_precision == 1
    assert retrieval(found.private, solution.private).mean_average_precision == 0


def test_what_is_ignored_is_not_looked_at(path):
    fakes.write(path, RECOGNITION.replace("100,Ignored", "unsure,Ignored"))
    assert read_recognition_solution(path).ignored == (C, E)


@pytest.mark.parametrize("read", [read_recognition_predictions, read_retrieval_predictions])
def test_predictions_refuse(path, read):
    solution = Solution(public={A: (1,)}, private={B: (2,)}, ignored=(C,))
    value, header = {
        read_recognition_predictions: ("1 0.5", "id,landmarks"),
        read_retrieval_predictions: (INDEX[0], "id,images"),
    }[read]

    def check(lines, *words):
        refuse(lambda path: read(path, solution), path, fakes.csv(*lines), *words)

    check((header, f"{A},{value}", f"{D},{value}"), "line 3", f"{D!r} is not in the solution")
    check((header, f"{A},{value}", "", f"{A},{value}"), "line 4", "has a line above")
    check((header, f"{C},{value}", f"{C},"), "line 3", "has a line above")
    check(("photo,answer", f"{A},{value}"), "line 1", "'photo,answer'; expected " + header)
    check((header, A), "line 2", "1 fields; expected 2")
    check((header, f"abc,{value}"), "line 2", "photo 'abc'; expected 16 digits")


@pytest.mark.parametrize("field", ["1", "1 2 3", "one 0.5", "1 high", "1 nan", "-1 0.5", "1.5 0.5"])
def test_a_recognition_that_is_none(path, field):
    solution = Solution(public={A: (1,)}, private={}, ignored=())
    text = fakes.csv("id,landmarks", f"{A},{field}")
    refuse(lambda path: read_recognition_predictions(path, solution), path, text, "line 2")


def test_a_result_that_is_no_photo(path):
    solution = Solution(public={A: (INDEX[0],)}, private={}, ignored=())
    text = fakes.csv("id,images", f"{A},{INDEX[0]} {INDEX[1]}.jpg")
    refuse(lambda path: read_retrieval_predictions(path, solution), path, text, "line 2", ".jpg")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{E},1,Secret", "usage 'Secret'; expected Public, Private, Ignored"),
        (f"{E},1", "2 fields; expected 3: id,landmarks,Usage"),
        (f"{E},1,Public,", "4 fields; expected 3"),
        (f"{E},x,Public", "landmark 'x'; expected an integer"),
        (f"{E},{'9' * 5000},Public", "expected an integer"),
        (f"{E},²,Public", "landmark '²'; expected an integer"),
        (f"{E},1 1,Public", "'1 1' lists something twice"),
        (f"{A},1,Private", f"{A!r} has a line above already"),
        (f"{E[:8]},1,Public", f"photo {E[:8]!r}; expected 16 digits 0 to 9 or a to f"),
        (f"{E.upper()},1,Public", "expected 16 digits"),
        (f"{E}\n,1,Public", "expected 3"),
        (",1,Public", "photo ''; expected 16 digits"),
    ],
)
def test_solutions_refuse(path, line, words):
    text = fakes.csv("id,landmarks,Usage", f"{A},1,Public", "", line)
    refuse(read_recognition_solution, path, text, "line 4", words)


def test_truth_that_is_not_in_the_index(path):
    refuse(
        lambda path: read_retrieval_solution(path, INDEX[:2]),
        path,
        RETRIEVAL,
        f"line 4: {INDEX[2]!r} is not in the index",
    )


@pytest.mark.parametrize(
    "header", ["", "id,images,Usage", "id,landmarks", "landmarks,id,Usage", "id;landmarks;Usage"]
)
def test_another_header(path, header):
    refuse(
        read_recognition_solution,
        path,
        RECOGNITION.replace("id,landmarks,Usage", header),
        f"line 1: header {header!r}; expected id,landmarks,Usage",
    )


def test_an_empty_file(path):
    refuse(read_labels, path, "", "line 1: header ''")


@pytest.mark.parametrize("content", [b"\xff\xfeid\n", b"id\n" + b"0" * 200_000 + b"\n"])
def test_no_csv_file(path, content):
    refuse(read_labels, path, content, "cannot be read")


def test_no_file(path):
    with pytest.raises(DatasetError, match=r"file\.csv: cannot be read"):
        read_labels(path)


# --- labels


def test_labels(path):
    lines = (f'"{A}","http://a.org/,b",7', f"{B},http://b.org,None", "", f"{C},,")
    fakes.write(path, fakes.csv('"id","url","landmark_id"', *lines))
    assert read_labels(path) == {A: 7, B: None, C: None}
    fakes.write(path, fakes.csv("id,landmark_id", f"{B},0", f"{A},203093"))
    assert list(read_labels(path).items()) == [(B, 0), (A, 203093)]
    fakes.write(path, fakes.csv("id,url", f"{B},http://b.org"))
    assert read_labels(path) == {B: None}
    fakes.write(path, "\ufeffid\r\n" + f"{B}\r\n{A}\r\n")
    assert list(read_labels(path)) == [B, A]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{A},http://a.org,7", f"{A!r} has a line above already"),
        (f"{B},http://a.org,7.0", "landmark '7.0'"),
        (f"{B},7", "2 fields; expected 3: id,url,landmark_id"),
        ("abc,http://a.org,7", "photo 'abc'"),
    ],
)
def test_labels_refuse(path, line, words):
    text = fakes.csv("id,url,landmark_id", f"{A},http://a.org,7", line)
    refuse(read_labels, path, text, "line 3", words)


def test_categories(path):
    address = "http://commons.wikimedia.org/wiki/Category:Petra"
    fakes.write(path, fakes.csv("landmark_id,category", f"0,{address}"))
    assert read_categories(path) == {0: address}


# --- version 2


def test_version_2(tmp_path):
    folder = fakes.google_v2(tmp_path)
    found = datasets.load("google_landmarks_v2", tmp_path)
    names = [fakes.photo_id(number) for number in range(4)]
    assert found.metric == "map_at_100"
    assert found.database == tuple(
        f"google_landmarks_v2/index/0/{i}/2/{names[i]}.jpg" for i in range(4)
    )
    asked = [fakes.photo_id(number) for number in (18, 19, 16)]
    assert [query.name for query in found.queries] == asked
    assert found.queries[0].photo == f"google_landmarks_v2/test/1/2/2/{asked[0]}.jpg"
    assert not found.distractor_queries
    assert list(found.truths) == ["private", "public"]
    assert {p: [truth.positives.tolist() for truth in found.truths[p]] for p in found.truths} == {
        "private": [[2], [3, 2], []],
        "public": [[], [], [0, 1]],
    }
    labels = read_labels(folder / "index_image_to_landmark.csv")
    assert list(labels.values()) == [0, 0, 1, 1]


def test_photos_of_version_2_are_not_looked_for(tmp_path):
    folder = fakes.google_v2(tmp_path)
    before = datasets.load("google_landmarks_v2", tmp_path)
    name = fakes.photo_id(3)
    (folder / "index" / "0" / "3" / "2" / f"{name}.jpg").unlink()
    assert datasets.load("google_landmarks_v2", tmp_path).database == before.database


def test_version_2_with_truth_that_is_not_in_its_index(tmp_path):
    folder = fakes.google_v2(tmp_path)
    names = [fakes.photo_id(number) for number in range(3)]
    fakes.write(folder / "index.csv", fakes.csv("id", *names))
    with pytest.raises(DatasetError, match=r"solution_v2\.1\.csv, line 5: .* not in the index"):
        datasets.load("google_landmarks_v2", tmp_path)


# --- version 1


def positives(found):
    return [truth.positives.tolist() for truth in found.truths[STANDARD]]


def test_version_1(tmp_path):
    fakes.google_v1(tmp_path)
    found = datasets.load("google_landmarks_v1", tmp_path)
    names = [f"train/{fakes.photo_id(number)}" for number in range(4)]
    names += [f"index/{fakes.photo_id(32)}"]
    assert found.database == tuple(f"google_landmarks_v1/{name}.jpg" for name in names)
    assert [query.name for query in found.queries] == [fakes.photo_id(16), fakes.photo_id(17)]
    assert positives(found) == [[2], [0, 1]]
    assert [query.name for query in found.distractor_queries] == [
        fakes.photo_id(n) for n in (18, 19, 20)
    ]
    assert found.distractor_queries[0].photo == f"google_landmarks_v1/test/{fakes.photo_id(18)}.jpg"


def test_version_1_in_folders(tmp_path):
    fakes.google_v1_foldered(tmp_path)
    assert "google_landmarks_v1" in datasets.available(tmp_path)
    found = datasets.load("google_landmarks_v1", tmp_path)
    assert [photo.partition("index/")[2] for photo in found.database] == [
        "eiffel/a.jpg",
        "eiffel/b.jpg",
        "petra/a.jpg",
    ]
    assert [query.name for query in found.queries] == ["eiffel/a", "petra/b"]
    assert positives(found) == [[0, 1], [2]]
    assert [query.name for query in found.distractor_queries] == ["rome/a", "stranger"]


def test_version_1_without_labels_of_its_queries(tmp_path):
    folder = fakes.google_v1(tmp_path)
    rows = fakes.csv("id,url", f"{fakes.photo_id(16)},http://example.org/16.jpg")
    fakes.write(folder / "test.csv", rows)
    with pytest.raises(DatasetError, match="no photo of test has a landmark of the database"):
        datasets.load("google_landmarks_v1", tmp_path)


def test_version_1_with_a_photo_in_two_lines(tmp_path):
    folder = fakes.google_v1(tmp_path)
    with (folder / "train.csv").open("a") as file:
        file.write(f"{fakes.photo_id(0)},http://example.org,5\n")
    with pytest.raises(DatasetError, match=r"train\.csv, line 6: .* has a line above"):
        datasets.load("google_landmarks_v1", tmp_path)


def test_truths_of_one_landmark_are_one(tmp_path):
    """A million photos of few landmarks take no room for each query."""
    folder = fakes.google_v1(tmp_path)
    with (folder / "test.csv").open("a") as file:
        file.writelines(f"{fakes.photo_id(n)},http://example.org,5\n" for n in range(40, 60))
    truths = datasets.load("google_landmarks_v1", tmp_path).truths[STANDARD]
    assert len({id(truth) for truth in truths}) == 2
    np.testing.assert_array_equal(truths[-1].positives, [0, 1])
