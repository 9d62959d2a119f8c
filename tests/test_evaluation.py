"""Evaluation of a folder of classes: the whole way through, and the page that shows it."""

import json
import re

import numpy as np
import pytest
from worlds import classes, extractor, flat

from delfjax.collection import ReductionConfig
from delfjax.evaluation import Evaluation, evaluate_folder, truth
from delfjax.extraction import Extractor
from delfjax.geometry import RansacConfig
from delfjax.pages import write_page
from delfjax.photos import PhotoError, load_photo, scan
from delfjax.results import to_json
from delfjax.search import SearchConfig

SEARCH = SearchConfig(neighbours=20, ransac=RansacConfig(hypotheses=64, residual=2.0))
REDUCTION = ReductionConfig(dimensions=8)


def run(photos, store, **options) -> Evaluation:
    settings = {"search": SEARCH, "reduction": REDUCTION} | options
    return evaluate_folder(extractor(), photos, store, **settings)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return classes(tmp_path_factory.mktemp("evaluation") / "photos")


@pytest.fixture(scope="module")
def store(photos):
    return photos.root.parent / "store"


@pytest.fixture(scope="module")
def evaluation(photos, store):
    return run(photos, store)


def load(photos):
    return lambda name: load_photo(photos.path(name))


# --- the protocol


def test_a_querys_class_is_right_and_itself_junk():
    names = ("a/0", "a/1", "b/0", "a/deep/2", "loose")
    found = truth("a/1", names)
    assert found.positives.tolist() == [0, 3]
    assert found.junk.tolist() == [1]
    elsewhere = truth("b/9", names)
    assert (elsewhere.positives.tolist(), elsewhere.junk.tolist()) == ([2], [])
    assert truth("a/1", ()).positives.tolist() == []


def test_every_photo_is_asked_for_and_itself_never_counts(evaluation, photos):
    assert evaluation.queries == evaluation.database == photos.names
    for number, (name, found) in enumerate(zip(evaluation.queries, evaluation.truths, strict=True)):
        assert found.junk.tolist() == [number]
        labels = {photos.names[positive][0] for positive in found.positives}
        assert (len(found.positives), labels) == (2, {name[0]})
    # A photo is nearest to itself; had that counted, the mean precision at 1 would be 1 for nothing.
    assert all(
        answer.ranking.images[0] == number for number, answer in enumerate(evaluation.answers)
    )


def test_views_of_one_picture_are_found(evaluation):
    """By chance, two right photos among eight have an expected average precision of about 0.4."""
    assert 0.6 < evaluation.scores.mean_average_precision <= 1
    assert (
        (evaluation.scores.average_precision >= 0)
        & np.isfinite(evaluation.scores.average_precision)
    ).all()
    assert evaluation.scores.ks == (1, 5)  # ten are more than there are photos
    assert (evaluation.index_kind, evaluation.recall) == ("ExactIndex", 1.0)
    assert set(evaluation.seconds) == {
        "extract",
        "load",
        "build index",
        "neighbours",
        "vote and verify",
        "measure recall",
    }


def test_patterns_part_queries_from_the_database(photos, store):
    found = run(photos, store.with_name("parted"), queries="0.*", database="[12].png")
    assert found.queries == ("a/0.png", "b/0.png", "c/0.png")
    assert found.database == tuple(name for name in photos.names if "0.png" not in name)
    assert [each.junk.tolist() for each in found.truths] == [[]] * 3
    assert [each.positives.tolist() for each in found.truths] == [[0, 1], [2, 3], [4, 5]]
    assert (found.settings["queries"], found.settings["database"]) == ("0.*", "[12].png")


def test_a_second_run_extracts_nothing_and_finds_the_same(evaluation, photos, store, monkeypatch):
    monkeypatch.setattr(Extractor, "launch", None)
    again = run(photos, store)
    assert again.report.extracted == []
    assert again.report.kept == list(photos.names)
    for one, other in zip(evaluation.answers, again.answers, strict=True):
        np.testing.assert_array_equal(one.ranking.images, other.ranking.images)
        np.testing.assert_array_equal(one.ranking.inliers, other.ranking.inliers)


def test_broken_photos_are_left_out(tmp_path):
    photos = classes(tmp_path / "photos", count=2)
    photos.path("a/1.png").write_text("no photo")
    found = run(photos, tmp_path / "store")
    assert list(found.report.failed) == ["a/1.png"]
    assert found.queries == found.database == tuple(n for n in photos.names if n != "a/1.png")
    assert found.truths[0].positives.tolist() == [1]
    assert "a/1.png" in found.summary()["failed"]


# --- what is kept of it


def test_the_summary_is_plain_json(evaluation):
    summary = evaluation.summary()
    found = json.loads(to_json(summary))
    assert found["value"] == round(100 * evaluation.scores.mean_average_precision, 2)
    low, high = found["interval"]
    assert 0 <= low <= found["value"] <= high <= 100
    assert list(found["precision_at"]) == ["1", "5"]
    assert (found["queries"], found["database"], found["failed"]) == (9, 9, {})
    assert found["index"] == {"kind": "ExactIndex", "recall_at_60": 1.0}
    assert found["config"]["search"]["ransac"]["hypotheses"] == 64
    assert found["config"]["reduction"]["dimensions"] == 8
    assert {"versions", "hardware", "seconds"} <= set(found)


# --- errors


def test_a_flat_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="expected one sub-folder a class, found photos only"):
        run(flat(tmp_path / "photos", 2), tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("which", ["queries", "database"])
def test_a_pattern_without_photos_is_an_error(photos, tmp_path, which):
    with pytest.raises(ValueError, match=r"no photo's file name matches 'x_\*'"):
        run(photos, tmp_path / "store", **{which: "x_*"})
    assert not (tmp_path / "store").exists()


def test_nothing_to_find_is_an_error(tmp_path):
    """One photo a class; a class whose others are broken; no readable query at all."""
    photos = classes(tmp_path / "photos", count=2, views=2)
    message = "no query has another readable photo of its class in the database"
    with pytest.raises(ValueError, match=message):
        run(photos, tmp_path / "store", queries="0.*", database="0.*")
    for name in ("a/1.png", "b/1.png"):
        photos.path(name).write_text("no photo")
    for number, query in enumerate(("0.*", "1.*")):
        with pytest.raises(ValueError, match=message):
            run(photos, tmp_path / str(number), queries=query)
    with pytest.raises(PhotoError, match="is not an image"):
        run(photos, tmp_path / "2", database="1.*")


# --- the page


def test_the_page_is_one_file(evaluation, photos, tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page(evaluation, load(photos), path, top=3)
    page = path.read_text(encoding="utf-8")
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", page)
    assert len(sources) == 9 * (1 + 3)
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "://" not in page
    assert page.count("<section>") == page.count("class=query") == 9
    assert page.count("class=right") + page.count("class=wrong") == 9 * 3
    assert f"mAP {100 * evaluation.scores.mean_average_precision:.1f}" in page
    precisions = [float(number) for number in re.findall(r"AP ([\d.]+)</h2>", page)]
    assert precisions == sorted(precisions)  # the worst first


def test_the_page_escapes_names(tmp_path):
    photos = classes(tmp_path / "photos", count=2, views=2)
    odd = "<b>&'q'"
    (photos.root / "a").rename(photos.root / odd)
    photos = scan(photos.root)
    write_page(run(photos, tmp_path / "store"), load(photos), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;&#x27;q&#x27;/0.png" in page
    assert "<b>" not in page
