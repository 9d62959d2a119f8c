"""Google-Landmarks: its csv files, and both versions as benchmarks."""

import fakes
import numpy as np
import pytest

from delfjax import datasets
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.datasets.google_landmarks import read_labels, read_solution

A, B, C, D, E = (f"0{digit}23456789abcdef" for digit in "12345")
INDEX = tuple(f"fedcba9876543{number}" for number in (210, 220, 230, 240))
SOLUTION = fakes.csv(
    "id,images,Usage",
    f"{A},None,Ignored",
    f"{B},{INDEX[0]} {INDEX[1]},Public",
    f"{C},{INDEX[2]},Private",
    f"{D},None,Ignored",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.csv"


def expect_error(read, path, content, *parts):
    """Check that a file is refused, and that the message has its name and all parts."""
    fakes.write(path, content)
    with pytest.raises(DatasetError) as caught:
        read(path)
    for part in ("file.csv", *parts):
        assert part in str(caught.value)


def read_with_index(path):
    return read_solution(path, INDEX)


# --- labels


def test_labels(path):
    lines = (f'"{A}","http://a.org/,b",7', f"{B},http://b.org,None", "", f"{C},,")
    fakes.write(path, fakes.csv('"id","url","landmark_id"', *lines))
    assert list(read_labels(path).items()) == [(A, 7), (B, None), (C, None)]
    fakes.write(path, fakes.csv("id,url", f"{B},http://b.org"))
    assert read_labels(path) == {B: None}
    fakes.write(path, "\ufeffid\r\n" + f"{B}\r\n{A}\r\n")
    assert list(read_labels(path)) == [B, A]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{A},http://a.org,7", f"id {A!r} is also on an earlier line"),
        (f"{B},http://a.org,7.0", "landmark_id is '7.0'; expected an integer"),
        (f"{B},http://a.org,{'9' * 5000}", "expected an integer"),
        (f"{B},http://a.org,²", "landmark_id is '²'; expected an integer"),
        (f"{B},7", "2 fields; expected 3: id,url,landmark_id"),
        ("abc,http://a.org,7", "the id is 'abc'; expected 16 hexadecimal digits (0 to 9, a to f)"),
        (f"{B.upper()},http://a.org,7", "expected 16 hexadecimal digits"),
        (",http://a.org,7", "the id is ''; expected 16 hexadecimal digits"),
    ],
)
def test_invalid_labels(path, line, message):
    content = fakes.csv("id,url,landmark_id", f"{A},http://a.org,7", line)
    expect_error(read_labels, path, content, "line 3", message)


@pytest.mark.parametrize("content", [b"\xff\xfeid\n", b"id\n" + b"0" * 200_000 + b"\n"])
def test_a_file_that_is_not_csv(path, content):
    expect_error(read_labels, path, content, "damaged; expected a csv file")


def test_an_empty_file(path):
    expect_error(read_labels, path, "", "found an empty file")


# --- solutions


def test_solution(path):
    fakes.write(path, SOLUTION)
    assert read_with_index(path) == {"private": {C: INDEX[2:3]}, "public": {B: INDEX[:2]}}


def test_photos_without_truth_are_ignored_whatever_their_usage(path):
    """The data set's page names only the usages Public and Private."""
    fakes.write(path, SOLUTION.replace("None,Ignored", "None,Private"))
    assert read_with_index(path)["private"] == {C: INDEX[2:3]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{E},{INDEX[0]},Secret", "Usage is 'Secret'; expected Public, Private or Ignored"),
        (f"{E},{INDEX[0]}", "2 fields; expected 3: id,images,Usage"),
        (f"{E},{INDEX[0]},Public,", "4 fields; expected 3"),
        (f"{E},{INDEX[0]} {INDEX[0]},Public", f"photo {INDEX[0]!r} appears more than once"),
        (f"{A},{INDEX[0]},Private", f"id {A!r} is also on an earlier line"),
        (f"{E},{A},Public", f"{A!r} is not in the index"),
        (f"{E[:8]},{INDEX[0]},Public", f"the id is {E[:8]!r}; expected 16 hexadecimal digits"),
        (f"{E}\n,{INDEX[0]},Public", "expected 3"),
    ],
)
def test_invalid_solutions(path, line, message):
    content = fakes.csv("id,images,Usage", f"{A},{INDEX[0]},Public", "", line)
    expect_error(read_with_index, path, content, "line 4", message)


@pytest.mark.parametrize(
    "header", ["", "id,landmarks,Usage", "id,images", "images,id,Usage", "id;images;Usage"]
)
def test_another_header(path, header):
    expect_error(
        read_with_index,
        path,
        SOLUTION.replace("id,images,Usage", header),
        f"line 1: the header is {header!r}; expected id,images,Usage",
    )


# --- version 2


def test_version_2(tmp_path):
    fakes.google_v2(tmp_path)
    benchmark = datasets.load("google_landmarks_v2", tmp_path)
    names = [fakes.photo_id(number) for number in range(4)]
    assert benchmark.metric == "map_at_100"
    assert benchmark.database == tuple(
        f"google_landmarks_v2/index/0/{i}/2/{names[i]}.jpg" for i in range(4)
    )
    queries = [fakes.photo_id(number) for number in (18, 19, 16)]
    assert [query.name for query in benchmark.queries] == queries
    assert benchmark.queries[0].photo == f"google_landmarks_v2/test/1/2/2/{queries[0]}.jpg"
    assert not benchmark.distractor_queries
    assert list(benchmark.truths) == ["private", "public"]
    positives = {
        protocol: [truth.positives.tolist() for truth in truths]
        for protocol, truths in benchmark.truths.items()
    }
    assert positives == {"private": [[2], [3, 2], []], "public": [[], [], [0, 1]]}


def test_photos_of_version_2_are_not_looked_for(tmp_path):
    folder = fakes.google_v2(tmp_path)
    before = datasets.load("google_landmarks_v2", tmp_path)
    name = fakes.photo_id(3)
    (folder / "index" / "0" / "3" / "2" / f"{name}.jpg").unlink()
    assert datasets.load("google_landmarks_v2", tmp_path).database == before.database


def test_version_2_with_ground_truth_that_is_not_in_its_index(tmp_path):
    folder = fakes.google_v2(tmp_path)
    names = [fakes.photo_id(number) for number in range(3)]
    fakes.write(folder / "index.csv", fakes.csv("id", *names))
    with pytest.raises(DatasetError, match=r"solution_v2\.1\.csv, line 5: .* not in the index"):
        datasets.load("google_landmarks_v2", tmp_path)


# --- version 1


def test_version_1(tmp_path):
    fakes.google_v1(tmp_path)
    benchmark = datasets.load("google_landmarks_v1", tmp_path)
    names = [f"train/{fakes.photo_id(number)}" for number in range(4)]
    names += [f"index/{fakes.photo_id(32)}"]
    assert benchmark.database == tuple(f"google_landmarks_v1/{name}.jpg" for name in names)
    assert [query.name for query in benchmark.queries] == [fakes.photo_id(n) for n in (16, 17)]
    assert [t.positives.tolist() for t in benchmark.truths[STANDARD]] == [[2], [0, 1]]
    assert [query.name for query in benchmark.distractor_queries] == [
        fakes.photo_id(number) for number in (18, 19, 20)
    ]
    photo = benchmark.distractor_queries[0].photo
    assert photo == f"google_landmarks_v1/test/{fakes.photo_id(18)}.jpg"


def test_version_1_without_labels_of_its_queries(tmp_path):
    folder = fakes.google_v1(tmp_path)
    rows = fakes.csv("id,url", f"{fakes.photo_id(16)},http://example.org/16.jpg")
    fakes.write(folder / "test.csv", rows)
    with pytest.raises(DatasetError, match=r"test\.csv: no query shows a landmark of a database"):
        datasets.load("google_landmarks_v1", tmp_path)


def test_version_1_with_a_photo_on_two_lines(tmp_path):
    folder = fakes.google_v1(tmp_path)
    with (folder / "train.csv").open("a") as file:
        file.write(f"{fakes.photo_id(0)},http://example.org,5\n")
    with pytest.raises(DatasetError, match=r"train\.csv, line 6: .* on an earlier line"):
        datasets.load("google_landmarks_v1", tmp_path)


def test_queries_of_one_landmark_share_their_ground_truth(tmp_path):
    """With a million photos of few landmarks, a copy per query would need too much memory."""
    folder = fakes.google_v1(tmp_path)
    with (folder / "test.csv").open("a") as file:
        file.writelines(f"{fakes.photo_id(n)},http://example.org,5\n" for n in range(40, 60))
    truths = datasets.load("google_landmarks_v1", tmp_path).truths[STANDARD]
    assert len({id(truth) for truth in truths}) == 2
    np.testing.assert_array_equal(truths[-1].positives, [0, 1])
