"""Oxford5k and Paris6k, and the door through which every data set comes."""

import re

import fakes
import numpy as np
import pytest

from delfjax import datasets
from delfjax.datasets import oxford, rendered
from delfjax.datasets.benchmark import STANDARD, DatasetError
from delfjax.datasets.catalog import UNFINISHED, MissingDataError, get_entry
from delfjax.images.reading import Box, PhotoError


@pytest.fixture
def folder(tmp_path):
    return fakes.oxford5k(tmp_path)


def refuse(root, *words, error=DatasetError, name="oxford5k"):
    """Check that a set cannot be loaded, for a reason in these words."""
    with pytest.raises(error) as caught:
        datasets.load(name, root)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


# --- what is read


def test_oxford(tmp_path, folder):
    found = datasets.load("oxford5k", tmp_path)
    assert (len(found.database), len(found.queries)) == (78, 55)
    assert found.database == tuple(sorted(found.database))
    assert set(found.truths) == {STANDARD}
    assert found.metric == "trapezoidal_ap"
    assert not found.distractor_queries
    query, truth = found.queries[1], found.truths[STANDARD][1]
    assert (query.name, query.photo) == ("all_souls_2", "oxford5k/all_souls_000002.jpg")
    assert query.box == Box(top=2.0, left=4.5, bottom=46.25, right=60.0)
    shown = [found.database[number] for number in truth.positives]
    assert shown == [f"oxford5k/all_souls_{i:06d}.jpg" for i in range(1, 7)]
    assert [found.database[number] for number in truth.junk] == ["oxford5k/all_souls_000007.jpg"]


def test_every_photo_of_a_benchmark_can_be_read(tmp_path):
    fakes.everything(tmp_path)
    for name in set(datasets.NAMES) - set(datasets.RENDERED):
        found = datasets.load(name, tmp_path)
        assert found.name == name
        for photos in (found.base_photos, found.distractor_photos, found.query_photos):
            for photo in photos.names:
                assert photos.load(photo).shape[2] == 3


def test_a_query_is_cut_to_its_box(tmp_path, folder):
    photos = datasets.load("oxford5k", tmp_path).query_photos
    assert photos.load("queries/all_souls_1").shape == (44, 56, 3)


def test_paris(tmp_path):
    fakes.paris6k(tmp_path)
    found = datasets.load("paris6k", tmp_path)
    assert (len(found.database), len(found.queries)) == (78, 55)
    assert "paris6k/paris/general/paris_general_000001.jpg" in found.database
    assert found.queries[0].photo == "paris6k/paris/defense/paris_defense_000001.jpg"
    assert [len(truth.positives) for truth in found.truths[STANDARD]] == [6] * 55


def test_corrupt_photos_of_paris_are_left_out(tmp_path):
    folder = fakes.paris6k(tmp_path)
    found = datasets.load("paris6k", tmp_path)
    assert not [photo for photo in found.database if "paris_louvre_000136" in photo]
    (folder / "paris" / "louvre" / "paris_louvre_000136.jpg").unlink()
    assert datasets.load("paris6k", tmp_path).database == found.database
    assert len(oxford.CORRUPT) == 20


def test_folders_do_not_matter(tmp_path, folder):
    """Nor do other text files: `delfjax data fetch` has photos in jpg and truth in gt."""
    flat = datasets.load("oxford5k", tmp_path)
    for path in list(folder.iterdir()):
        path.rename(
            fakes.write(folder / {".jpg": "jpg", ".txt": "gt"}[path.suffix] / path.name, "")
        )
    fakes.write(folder / "README.txt", "again")
    nested = datasets.load("oxford5k", tmp_path)
    names = [photo.replace("oxford5k/jpg", "oxford5k") for photo in nested.database]
    assert tuple(names) == flat.database
    for one, other in zip(nested.truths[STANDARD], flat.truths[STANDARD], strict=True):
        np.testing.assert_array_equal(one.positives, other.positives)
        np.testing.assert_array_equal(one.junk, other.junk)


@pytest.mark.parametrize("kind", ["good", "ok"])
def test_the_query_itself_is_a_positive_wherever_it_is_listed(tmp_path, folder, kind):
    before = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    good = folder / "all_souls_1_good.txt"
    good.write_text(good.read_text().replace("all_souls_000001\n", ""))
    if kind == "ok":
        with (folder / "all_souls_1_ok.txt").open("a") as file:
            file.write("all_souls_000001\n")
    after = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    assert set(after.positives) == set(before.positives)


def test_blank_lines_and_windows_line_ends_are_no_photos(tmp_path, folder):
    before = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    for path in folder.glob("all_souls_1_*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"  \r\n\r\n"))
    after = datasets.load("oxford5k", tmp_path).truths[STANDARD][0]
    np.testing.assert_array_equal(after.positives, before.positives)
    np.testing.assert_array_equal(after.junk, before.junk)


def test_boxes_may_overhang(tmp_path, folder):
    (folder / "all_souls_1_query.txt").write_text("oxc1_all_souls_000001 -1.5 -0.5 65.2 48.9\n")
    found = datasets.load("oxford5k", tmp_path)
    assert found.queries[0].box == Box(top=-0.5, left=-1.5, bottom=48.9, right=65.2)
    assert found.query_photos.load("queries/all_souls_1").shape == (48, 64, 3)


# --- what is refused


@pytest.mark.parametrize(
    "line",
    [
        "",
        "oxc1_all_souls_000001",
        "oxc1_all_souls_000001 1 2 30",
        "oxc1_all_souls_000001 1 2 30 40 50",
        "oxc1_all_souls_000001 1 2 30 forty",
        "oxc1_all_souls_000001 1 2 30 40\noxc1_all_souls_000002 1 2 30 40",
    ],
)
def test_a_query_line_of_other_than_five_words(tmp_path, folder, line):
    (folder / "all_souls_1_query.txt").write_text(f"{line}\n")
    refuse(tmp_path, "all_souls_1_query.txt, line 1", "one of five words")


@pytest.mark.parametrize(
    "box",
    [
        "30 10 30 40",  # no width
        "40 10 30 40",  # inverted
        "10 40 30 10",
        "64 10 90 40",  # to the right
        "10 48 30 90",  # below
        "-30 10 0 40",  # to the left
        "10 -30 30 0",  # above
        "nan 10 30 40",
        "10 10 inf 40",
    ],
)
def test_a_box_outside_the_photo(tmp_path, folder, box):
    (folder / "all_souls_1_query.txt").write_text(f"oxc1_all_souls_000001 {box}\n")
    refuse(tmp_path, "all_souls_1_query.txt, line 1", "64 pixels wide and 48 high")


def test_truth_that_names_absent_photos(tmp_path, folder):
    with (folder / "keble_3_ok.txt").open("a") as file:
        file.write("".join(f"keble_{number:06d}\n" for number in range(100, 113)))
    text = refuse(tmp_path, "keble_3_ok.txt, line 2", "keble_000100", "keble_000109", "and 3 more")
    assert "keble_000110" not in text


def test_the_photo_of_a_query_is_absent(tmp_path, folder):
    (folder / "all_souls_000001.jpg").unlink()
    refuse(tmp_path, "all_souls_000001", "no such photo")


@pytest.mark.parametrize(
    ("kind", "stem", "line"),
    [
        ("junk", "all_souls_000002", 2),
        ("ok", "all_souls_000003", 2),
        ("junk", "all_souls_000007", 2),
    ],
)
def test_a_photo_of_two_kinds_or_listed_twice(tmp_path, folder, kind, stem, line):
    with (folder / f"all_souls_1_{kind}.txt").open("a") as file:
        file.write(f"{stem}\n")
    refuse(tmp_path, f"all_souls_1_{kind}.txt, line {line}", stem, "expected once")


def test_a_query_that_is_junk(tmp_path, folder):
    good = folder / "all_souls_1_good.txt"
    good.write_text(good.read_text().replace("all_souls_000001\n", ""))
    (folder / "all_souls_1_junk.txt").write_text("all_souls_000001\n")
    refuse(tmp_path, "all_souls_1_junk.txt, line 1", "all_souls_1_query.txt, line 1")


@pytest.mark.parametrize("kind", oxford.KINDS)
def test_a_file_of_a_query_is_missing(tmp_path, folder, kind):
    (folder / f"all_souls_1_{kind}.txt").unlink()
    refuse(tmp_path, f"all_souls_1_{kind}.txt is missing")


def test_a_query_is_missing(tmp_path, folder):
    for kind in oxford.KINDS:
        (folder / f"keble_5_{kind}.txt").unlink()
    refuse(tmp_path, "keble_5_query.txt", error=MissingDataError)


def test_an_unknown_landmark(tmp_path, folder):
    stems = [f"keble_{i:06d}" for i in range(1, 8)]
    fakes.ground_truth(folder, "tower_bridge", stems)
    refuse(tmp_path, "tower_bridge_1_query.txt", "all_souls")


@pytest.mark.parametrize("name", ["all_souls_000001.jpg", "all_souls_1_ok.txt"])
def test_two_files_of_one_name(tmp_path, folder, name):
    fakes.write(folder / "copy" / name, (folder / name).read_bytes())
    refuse(tmp_path, name, f"copy/{name}", "remove one")


def test_truth_that_is_no_text(tmp_path, folder):
    (folder / "all_souls_1_ok.txt").write_bytes(b"\xff\xfe\x00")
    refuse(tmp_path, "all_souls_1_ok.txt", "cannot be read as text")


def test_the_photo_of_a_query_is_no_photo(tmp_path, folder):
    (folder / "all_souls_000001.jpg").write_bytes(fakes.WEB_PAGE)
    refuse(tmp_path, "all_souls_000001.jpg is not an image", error=PhotoError)


def test_other_photos_are_not_opened(tmp_path, folder):
    (folder / "oxford_000001.jpg").write_bytes(fakes.WEB_PAGE)
    assert len(datasets.load("oxford5k", tmp_path).database) == 78


# --- the door


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    text = refuse(tmp_path, "no benchmark 'oxford6k'", name="oxford6k")
    assert all(name in text for name in datasets.NAMES)


@pytest.mark.parametrize("name", ["oxford5k+", "+flickr100k", "oxford5k+revisitop1m", "holidays+x"])
def test_distractors_go_with_their_own_set(tmp_path, name):
    refuse(tmp_path, f"no benchmark {name!r}", name=name)


@pytest.mark.parametrize("name", sorted(set(datasets.NAMES) - set(datasets.RENDERED)))
def test_nothing_is_there(tmp_path, name):
    first, *_ = get_entry(name.partition("+")[0]).parts
    refuse(tmp_path / "nowhere", first, error=MissingDataError, name=name)


def test_parts_that_are_missing_are_named(tmp_path, folder):
    for path in folder.glob("*_query.txt"):
        path.unlink()
    text = refuse(tmp_path, "_query.txt", error=MissingDataError)
    assert ".jpg" not in text
    refuse(tmp_path, "_query.txt", error=MissingDataError, name="oxford5k+flickr100k")


def test_distractors_are_missing(tmp_path, folder):
    refuse(tmp_path, "flickr100k", error=MissingDataError, name="oxford5k+flickr100k")


def test_a_fetch_that_is_not_over(tmp_path, folder):
    (folder / UNFINISHED).write_text("**/*.jpg")
    refuse(tmp_path, "oxford5k: lacks", error=MissingDataError)
    assert "oxford5k" not in datasets.available(tmp_path)


def test_distractors_join_the_database_and_nothing_else(tmp_path, folder):
    fakes.flickr100k(tmp_path)
    alone = datasets.load("oxford5k", tmp_path)
    joined = datasets.load("oxford5k+flickr100k", str(tmp_path))
    assert joined.name == "oxford5k+flickr100k"
    assert (alone.distractors, joined.distractor_count) == (0, 3)
    assert joined.base_photos == alone.base_photos
    assert joined.distractor_photos.names == (
        "flickr100k/oxc1_100k/airshow/000001.jpg",
        "flickr100k/oxc1_100k/airshow/000002.jpg",
        "flickr100k/oxc1_100k/zoo/000001.jpg",
    )
    assert (joined.queries, joined.root) == (alone.queries, alone.root)
    for one, other in zip(joined.truths[STANDARD], alone.truths[STANDARD], strict=True):
        np.testing.assert_array_equal(one.positives, other.positives)


def test_available(tmp_path, monkeypatch):
    monkeypatch.setattr(rendered, "ROOT", tmp_path / "rendered")
    assert datasets.available(tmp_path) == ()
    fakes.flickr100k(tmp_path)
    assert datasets.available(tmp_path) == ()
    fakes.oxford5k(tmp_path)
    assert datasets.available(str(tmp_path)) == ("oxford5k", "oxford5k+flickr100k")
    fakes.everything(tmp_path)
    fakes.write(tmp_path / "rendered" / "SHA256SUMS", "")
    assert datasets.available(tmp_path) == datasets.NAMES


def test_the_rendered_set_comes_with_the_code(tmp_path, monkeypatch):
    root = tmp_path / "rendered"
    monkeypatch.setattr(rendered, "ROOT", root)
    fakes.write(root / "SHA256SUMS", "")
    stems = [f"gate_{i:06d}" for i in range(1, 8)]
    for number, stem in enumerate((*stems, "place_000001")):
        fakes.write(root / "eval" / "images" / f"{stem}.jpg", fakes.view(number // 7, number))
    fakes.write(root / "eval" / "strangers" / "far_000001.jpg", fakes.view(9))
    fakes.ground_truth(root / "eval" / "gt", "gate", stems)
    found = datasets.load("rendered", tmp_path / "nowhere")
    assert (found.name, len(found.database), len(found.queries)) == ("rendered", 7, 5)
    joined = datasets.load("rendered+places", tmp_path / "nowhere")
    assert (joined.name, len(joined.database), joined.distractor_count) == ("rendered+places", 8, 1)


# --- the parser by itself


def test_ground_truth_may_lie_apart_from_its_photos(tmp_path):
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


def test_a_box_swaps_x_and_y(tmp_path):
    photo = fakes.write(tmp_path / "photo.jpg", fakes.view(0))
    assert oxford.box_of((1, 2, 3, 4), photo, "here") == Box(top=2, left=1, bottom=4, right=3)


def test_landmarks_are_eleven():
    for landmarks in oxford.LANDMARKS.values():
        assert len(set(landmarks.split())) == 11
        assert re.fullmatch(r"[a-z_ ]+", landmarks)
