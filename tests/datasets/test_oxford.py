"""Oxford5k and Paris6k: what is read from their text files, and invalid files."""

import fakes
import numpy as np
import pytest

from delfjax import datasets
from delfjax.datasets import oxford
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.datasets.text_files import read_box
from delfjax.images.reading import PhotoError
from delfjax.types import Box


@pytest.fixture
def folder(tmp_path):
    return fakes.oxford5k(tmp_path)


def expect_error(root, *parts, error=DatasetError):
    """Check that Oxford5k cannot be loaded, and that the message has all parts; return it."""
    with pytest.raises(error) as caught:
        datasets.load("oxford5k", root)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


# --- valid files


def test_oxford(tmp_path, folder):
    benchmark = datasets.load("oxford5k", tmp_path)
    assert (len(benchmark.database), len(benchmark.queries)) == (78, 55)
    assert benchmark.database == tuple(sorted(benchmark.database))
    assert set(benchmark.truths) == {STANDARD}
    assert benchmark.metric == "trapezoidal_ap"
    assert not benchmark.distractor_queries
    query, truth = benchmark.queries[1], benchmark.truths[STANDARD][1]
    assert (query.name, query.photo) == ("all_souls_2", "oxford5k/all_souls_000002.jpg")
    assert query.box == Box(top=2.0, left=4.5, bottom=46.25, right=60.0)
    positives = [benchmark.database[number] for number in truth.positives]
    assert positives == [f"oxford5k/all_souls_{i:06d}.jpg" for i in range(1, 7)]
    assert [benchmark.database[number] for number in truth.junk] == [
        "oxford5k/all_souls_000007.jpg"
    ]


def test_a_query_is_cropped_to_its_box(tmp_path, folder):
    photos = datasets.load("oxford5k", tmp_path).query_photos
    assert photos.load("queries/all_souls_1").shape == (44, 56, 3)


def test_paris(tmp_path):
    fakes.paris6k(tmp_path)
    benchmark = datasets.load("paris6k", tmp_path)
    assert (len(benchmark.database), len(benchmark.queries)) == (78, 55)
    assert "paris6k/paris/general/paris_general_000001.jpg" in benchmark.database
    assert benchmark.queries[0].photo == "paris6k/paris/defense/paris_defense_000001.jpg"
    assert [len(truth.positives) for truth in benchmark.truths[STANDARD]] == [6] * 55


def test_corrupt_photos_of_paris_are_left_out(tmp_path):
    folder = fakes.paris6k(tmp_path)
    benchmark = datasets.load("paris6k", tmp_path)
    assert not [photo for photo in benchmark.database if "paris_louvre_000136" in photo]
    (folder / "paris" / "louvre" / "paris_louvre_000136.jpg").unlink()
    assert datasets.load("paris6k", tmp_path).database == benchmark.database
    assert len(oxford.CORRUPT) == 20


def test_files_may_lie_in_sub_folders(tmp_path, folder):
    """``delfjax data fetch`` writes photos to ``jpg`` and ground truth to ``gt``."""
    flat = datasets.load("oxford5k", tmp_path)
    for path in list(folder.iterdir()):
        path.rename(
            fakes.write(folder / {".jpg": "jpg", ".txt": "gt"}[path.suffix] / path.name, "")
        )
    fakes.write(folder / "README.txt", "other text files are ignored")
    nested = datasets.load("oxford5k", tmp_path)
    names = [photo.replace("oxford5k/jpg", "oxford5k") for photo in nested.database]
    assert tuple(names) == flat.database
    for one, other in zip(nested.truths[STANDARD], flat.truths[STANDARD], strict=True):
        np.testing.assert_array_equal(one.positives, other.positives)
        np.testing.assert_array_equal(one.junk, other.junk)


@pytest.mark.parametrize("kind", ["good", "ok"])
def test_the_photo_of_the_query_is_a_positive(tmp_path, folder, kind):
    before = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    good = folder / "all_souls_1_good.txt"
    good.write_text(good.read_text().replace("all_souls_000001\n", ""))
    if kind == "ok":
        with (folder / "all_souls_1_ok.txt").open("a") as file:
            file.write("all_souls_000001\n")
    after = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    assert set(after.positives) == set(before.positives)


def test_blank_lines_and_windows_line_ends_are_ignored(tmp_path, folder):
    before = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    for path in folder.glob("all_souls_1_*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"  \r\n\r\n"))
    after = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    np.testing.assert_array_equal(after.positives, before.positives)
    np.testing.assert_array_equal(after.junk, before.junk)


def test_a_box_may_exceed_the_photo(tmp_path, folder):
    (folder / "all_souls_1_query.txt").write_text("oxc1_all_souls_000001 -1.5 -0.5 65.2 48.9\n")
    benchmark = datasets.load("oxford5k", tmp_path)
    assert benchmark.queries[0].box == Box(top=-0.5, left=-1.5, bottom=48.9, right=65.2)
    assert benchmark.query_photos.load("queries/all_souls_1").shape == (48, 64, 3)


def test_ground_truth_in_another_folder_than_the_photos(tmp_path):
    stems = [f"gate_{i:06d}" for i in range(1, 8)]
    for stem in stems:
        fakes.write(tmp_path / "images" / f"{stem}.jpg", fakes.view(0))
    fakes.ground_truth(tmp_path / "gt", "gate", stems)
    database = tuple(f"images/{stem}.jpg" for stem in reversed(stems))
    queries, truths = oxford.read_ground_truth(tmp_path / "gt", tmp_path, database)
    assert [query.name for query in queries] == [f"gate_{i}" for i in range(1, 6)]
    assert queries[0].photo == "images/gate_000001.jpg"
    assert sorted(truths[0].positives) == [1, 2, 3, 4, 5, 6]
    assert truths[0].junk.tolist() == [0]


def test_a_published_box_has_x_before_y(tmp_path):
    photo = fakes.write(tmp_path / "photo.jpg", fakes.view(0))
    box = read_box((1, 2, 3, 4), photo, "here")
    assert box == Box(top=2, left=1, bottom=4, right=3)


# --- invalid files


def test_a_query_file_without_a_single_line_of_five_words(tmp_path, folder):
    for line in (
        "",
        "oxc1_all_souls_000001",
        "oxc1_all_souls_000001 1 2 30",
        "oxc1_all_souls_000001 1 2 30 40 50",
        "oxc1_all_souls_000001 1 2 30 forty",
        "oxc1_all_souls_000001 1 2 30 40\noxc1_all_souls_000002 1 2 30 40",
    ):
        (folder / "all_souls_1_query.txt").write_text(f"{line}\n")
        expect_error(tmp_path, "all_souls_1_query.txt", "expected", "x1 y1 x2 y2")


def test_a_box_outside_the_photo(tmp_path, folder):
    (folder / "all_souls_1_query.txt").write_text("oxc1_all_souls_000001 64 10 90 40\n")
    expect_error(tmp_path, "all_souls_1_query.txt, line 1", "64 pixels wide and 48 high")
    for box in (
        "30 10 30 40",  # no width
        "40 10 30 40",  # inverted
        "10 40 30 10",
        "10 48 30 90",  # below
        "-30 10 0 40",  # to the left
        "10 -30 30 0",  # above
        "nan 10 30 40",
        "10 10 inf 40",
    ):
        with pytest.raises(DatasetError, match="64 pixels wide and 48 high"):
            read_box(box.split(), folder / "all_souls_000001.jpg", "here")


def test_listed_photos_that_are_missing(tmp_path, folder):
    with (folder / "keble_3_ok.txt").open("a") as file:
        file.write("".join(f"keble_{number:06d}\n" for number in range(100, 113)))
    message = expect_error(
        tmp_path, "keble_3_ok.txt, line 2", "keble_000100", "keble_000109", "and 3 more"
    )
    assert "keble_000110" not in message


def test_a_missing_query_photo(tmp_path, folder):
    (folder / "all_souls_000001.jpg").unlink()
    expect_error(tmp_path, "all_souls_000001", "photos are missing")


@pytest.mark.parametrize(
    ("kind", "stem", "line"),
    [
        ("junk", "all_souls_000002", 2),
        ("ok", "all_souls_000003", 2),
        ("junk", "all_souls_000007", 2),
    ],
)
def test_a_photo_that_is_listed_twice(tmp_path, folder, kind, stem, line):
    with (folder / f"all_souls_1_{kind}.txt").open("a") as file:
        file.write(f"{stem}\n")
    expect_error(tmp_path, f"all_souls_1_{kind}.txt, line {line}", stem, "expected it once")


def test_a_query_photo_that_is_junk(tmp_path, folder):
    good = folder / "all_souls_1_good.txt"
    good.write_text(good.read_text().replace("all_souls_000001\n", ""))
    (folder / "all_souls_1_junk.txt").write_text("all_souls_000001\n")
    expect_error(tmp_path, "all_souls_1_junk.txt, line 1", "all_souls_1_query.txt, line 1")


@pytest.mark.parametrize("kind", oxford.KINDS)
def test_a_missing_text_file(tmp_path, folder, kind):
    (folder / f"all_souls_1_{kind}.txt").unlink()
    expect_error(tmp_path, f"all_souls_1_{kind}.txt is missing")


def test_a_missing_query(tmp_path, folder):
    for kind in oxford.KINDS:
        (folder / f"keble_5_{kind}.txt").unlink()
    expect_error(tmp_path, "found 54 queries; expected 55")


def test_queries_of_another_data_set(tmp_path, folder):
    stems = [f"keble_{i:06d}" for i in range(1, 8)]
    fakes.ground_truth(folder, "tower_bridge", stems)
    expect_error(tmp_path, "found 60 queries; expected 55")


@pytest.mark.parametrize("name", ["all_souls_000001.jpg", "all_souls_1_ok.txt"])
def test_two_files_of_the_same_name(tmp_path, folder, name):
    fakes.write(folder / "copy" / name, (folder / name).read_bytes())
    expect_error(tmp_path, name, f"copy/{name}", "remove one")


def test_ground_truth_that_is_not_text(tmp_path, folder):
    (folder / "all_souls_1_ok.txt").write_bytes(b"\xff\xfe\x00")
    expect_error(tmp_path, "all_souls_1_ok.txt", "cannot be read as UTF-8 text")


def test_a_query_photo_that_is_not_an_image(tmp_path, folder):
    (folder / "all_souls_000001.jpg").write_bytes(fakes.WEB_PAGE)
    expect_error(tmp_path, "all_souls_000001.jpg is not an image", error=PhotoError)


def test_photos_that_are_not_queries_are_not_opened(tmp_path, folder):
    (folder / "oxford_000001.jpg").write_bytes(fakes.WEB_PAGE)
    assert len(datasets.load("oxford5k", tmp_path).database) == 78
