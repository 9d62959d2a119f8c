"""The front of the package: load a benchmark by name, list those on disk, and the Benchmark class."""

from dataclasses import replace

import fakes
import numpy as np
import pytest

from delfjax import datasets
from delfjax.datasets import rendered
from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query, Truth
from delfjax.datasets.catalog import DATASETS, UNFINISHED
from delfjax.types import Box

PUBLISHED = sorted(set(datasets.NAMES) - set(datasets.RENDERED))


@pytest.fixture
def folder(tmp_path):
    return fakes.oxford5k(tmp_path)


def error_of(root, name="oxford5k") -> str:
    """Return the message of the error that loading a benchmark raises."""
    with pytest.raises(DatasetError) as caught:
        datasets.load(name, root)
    return str(caught.value)


# --- load


def test_photos_of_every_benchmark_can_be_read(tmp_path):
    fakes.everything(tmp_path)
    for name in PUBLISHED:
        benchmark = datasets.load(name, tmp_path)
        assert benchmark.name == name
        for photos in (
            benchmark.base_photos,
            benchmark.distractor_photos,
            benchmark.query_photos,
        ):
            for photo in photos.names[::5]:
                assert photos.load(photo).shape[2] == 3


def test_the_default_root_is_the_data_folder(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("DELFJAX_DATA", str(tmp_path))
    assert datasets.load("oxford5k").root == tmp_path
    assert "oxford5k" in datasets.available()


def test_an_unknown_name(tmp_path):
    message = error_of(tmp_path, "oxford6k")
    assert "unknown benchmark 'oxford6k'" in message
    assert all(name in message for name in datasets.NAMES)


@pytest.mark.parametrize("name", ["oxford5k+", "+flickr100k", "oxford5k+revisitop1m", "holidays+x"])
def test_distractors_belong_to_certain_benchmarks(tmp_path, name):
    assert f"unknown benchmark {name!r}" in error_of(tmp_path, name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_missing_data_set(tmp_path, name):
    first, *_ = DATASETS[name.partition("+")[0]].parts
    assert f"missing files: {first}" in error_of(tmp_path / "nowhere", name)


def test_only_missing_parts_are_named(tmp_path, folder):
    for path in folder.glob("*_query.txt"):
        path.unlink()
    for name in ("oxford5k", "oxford5k+flickr100k"):
        message = error_of(tmp_path, name)
        assert "oxford5k: missing files: **/*_query.txt\n" in message
        assert ".jpg" not in message


def test_missing_distractors(tmp_path, folder):
    assert "flickr100k: missing files" in error_of(tmp_path, "oxford5k+flickr100k")


def test_an_unfinished_fetch(tmp_path, folder):
    (folder / UNFINISHED).write_text("**/*.jpg")
    assert "oxford5k: missing files: **/*.jpg" in error_of(tmp_path)
    assert "oxford5k" not in datasets.available(tmp_path)


def test_distractors_are_appended_to_the_database(tmp_path, folder):
    fakes.flickr100k(tmp_path)
    plain = datasets.load("oxford5k", tmp_path)
    larger = datasets.load("oxford5k+flickr100k", str(tmp_path))
    assert larger.name == "oxford5k+flickr100k"
    assert (plain.distractor_count, larger.distractor_count) == (0, 3)
    assert larger.base_photos == plain.base_photos
    assert larger.distractor_photos.names == (
        "flickr100k/oxc1_100k/airshow/000001.jpg",
        "flickr100k/oxc1_100k/airshow/000002.jpg",
        "flickr100k/oxc1_100k/zoo/000001.jpg",
    )
    assert (larger.queries, larger.root) == (plain.queries, plain.root)
    for one, other in zip(larger.truths[STANDARD], plain.truths[STANDARD], strict=True):
        np.testing.assert_array_equal(one.positives, other.positives)


def test_the_rendered_set_comes_with_the_repository(tmp_path, monkeypatch):
    root = tmp_path / "rendered"
    monkeypatch.setattr(rendered, "FOLDERS", dict.fromkeys(rendered.FOLDERS, root))
    monkeypatch.setattr(rendered, "_truths_by_view", lambda *args: args[-1])  # no cameras here
    fakes.write(root / "SHA256SUMS", "")
    fakes.write(root / "eval" / "landmarks.json", '{"gate": {"low": [0, 0, 0], "high": [1, 1, 1]}}')
    stems = [f"gate_{i:06d}" for i in range(1, 8)]
    for number, stem in enumerate((*stems, "place_000001")):
        fakes.write(root / "eval" / "images" / f"{stem}.jpg", fakes.view(number // 7, number))
    fakes.write(root / "eval" / "strangers" / "far_000001.jpg", fakes.view(9))
    fakes.ground_truth(root / "eval" / "gt", "gate", stems)
    small = datasets.load("rendered", tmp_path / "nowhere")
    assert (small.name, len(small.database), len(small.queries)) == ("rendered", 7, 5)
    large = datasets.load("rendered+places", tmp_path / "nowhere")
    assert (large.name, len(large.database), large.distractor_count) == ("rendered+places", 8, 1)


# --- available


def test_available(tmp_path, monkeypatch):
    folders = dict.fromkeys(rendered.FOLDERS, tmp_path / "rendered")
    monkeypatch.setattr(rendered, "FOLDERS", folders)
    assert datasets.available(tmp_path) == ()
    fakes.flickr100k(tmp_path)
    assert datasets.available(tmp_path) == ()
    fakes.oxford5k(tmp_path)
    assert datasets.available(str(tmp_path)) == ("oxford5k", "oxford5k+flickr100k")
    fakes.everything(tmp_path)
    fakes.write(tmp_path / "rendered" / "SHA256SUMS", "")
    assert datasets.available(tmp_path) == datasets.NAMES


# --- Benchmark


@pytest.fixture
def benchmark(tmp_path):
    """Make a benchmark of five database photos, two of them distractors; no photo is read."""
    return Benchmark(
        name="small",
        root=tmp_path,
        database=("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"),
        distractor_count=2,
        queries=(
            Query(name="one", photo="a.jpg", box=Box(top=0, left=0, bottom=40, right=48)),
            Query(name="two", photo="b.jpg"),
        ),
        truths={STANDARD: (Truth(np.array([0, 1, 2]), np.array([3])), Truth(np.array([1])))},
        distractor_queries=(Query(name="far", photo="far.jpg"),),
    )


def test_queries_with_a_box_are_crops(benchmark):
    assert benchmark.query_photos.names == ("queries/one", "b.jpg", "far.jpg")
    assert benchmark.query_photos.crops["queries/one"].photo == "a.jpg"
    assert [query.name for query in benchmark.all_queries] == ["one", "two", "far"]
    assert benchmark.default_protocol == STANDARD


def test_dropped_photos_are_renumbered(benchmark):
    smaller = benchmark.drop_photos({"b.jpg", "e.jpg", "far.jpg"})
    assert smaller.database == ("a.jpg", "c.jpg", "d.jpg")
    assert (smaller.distractor_count, smaller.distractor_queries) == (1, ())
    assert [query.name for query in smaller.queries] == ["one"]
    (truth,) = smaller.truths[STANDARD]
    assert (truth.positives.tolist(), truth.junk.tolist()) == ([0, 1], [2])


def test_a_dropped_query(benchmark):
    smaller = benchmark.drop_photos({"queries/one"})
    assert [query.name for query in smaller.queries] == ["two"]
    assert smaller.database == benchmark.database
    assert benchmark.drop_photos(set()) is benchmark


def test_invalid_benchmarks(benchmark):
    with pytest.raises(DatasetError, match=r"small: database photo 'a\.jpg' is listed twice"):
        replace(benchmark, database=("a.jpg", "a.jpg"))
    with pytest.raises(DatasetError, match="small: query 'two' is listed twice"):
        replace(benchmark, distractor_queries=benchmark.queries[1:])
    with pytest.raises(DatasetError, match="small: protocol 'standard' has 0 truths for 2 queries"):
        replace(benchmark, truths={STANDARD: ()})
