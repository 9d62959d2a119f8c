"""Evaluation of a folder of classes: the whole way through, and the page that shows it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from worlds import classes, extractor, flat

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query
from delfjax.datasets.truth import oxford_truth
from delfjax.evaluation.benchmark import Evaluation, evaluate_benchmark, evaluate_folder
from delfjax.evaluation.precision_recall import pool, summarize_curve
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import Extractor
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig
from delfjax.images.reading import PhotoError, read_image
from delfjax.provenance import to_json
from delfjax.search.index import IndexConfig
from delfjax.search.searcher import SearchConfig
from delfjax.types import Box

SEARCH = SearchConfig(neighbors=20, ransac=RansacConfig(hypotheses=64, residual=2.0))
PCA_FILE = PCAConfig(dimensions=8)


def run(photos, store, **options) -> Evaluation:
    settings = {"search": SEARCH, "reduction": PCA_FILE} | options
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


def truths(evaluation):
    return evaluation.benchmark.truths[STANDARD]


def load(photos):
    return lambda name: read_image(photos.path(name))


# --- the protocol


def test_every_photo_is_asked_for_and_itself_never_counts(evaluation, photos):
    asked = evaluation.benchmark.query_photos.names
    assert asked == evaluation.benchmark.database == photos.names
    for number, (name, found) in enumerate(zip(asked, truths(evaluation), strict=True)):
        assert found.junk.tolist() == [number]
        labels = {photos.names[positive][0] for positive in found.positives}
        assert (len(found.positives), labels) == (2, {name[0]})
    # A photo is nearest to itself; had that counted, the mean precision at 1 would be 1 for nothing.
    assert all(
        answer.ranking.images[0] == number for number, answer in enumerate(evaluation.answers)
    )


def test_views_of_one_picture_are_found(evaluation):
    """By chance, two right photos among eight have an expected average precision of about 0.4."""
    scores = evaluation.scores[STANDARD]
    assert 0.6 < scores.mean_average_precision <= 1
    assert ((scores.average_precision >= 0) & np.isfinite(scores.average_precision)).all()
    assert scores.ks == (1, 5)  # ten are more than there are photos
    assert (evaluation.index_kind, evaluation.recall) == ("ExactIndex", 1.0)
    assert set(evaluation.seconds) == {
        "extract",
        "load",
        "build index",
        "neighbors",
        "vote and verify",
        "measure recall",
    }


def test_patterns_part_queries_from_the_database(photos, store):
    found = run(photos, store.with_name("parted"), queries="0.*", database="[12].png")
    assert found.benchmark.query_photos.names == ("a/0.png", "b/0.png", "c/0.png")
    assert found.benchmark.database == tuple(name for name in photos.names if "0.png" not in name)
    assert [each.junk.tolist() for each in truths(found)] == [[]] * 3
    assert [each.positives.tolist() for each in truths(found)] == [[0, 1], [2, 3], [4, 5]]
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
    assert (
        found.benchmark.query_photos.names
        == found.benchmark.database
        == tuple(n for n in photos.names if n != "a/1.png")
    )
    assert truths(found)[0].positives.tolist() == [1]
    assert "a/1.png" in found.summary()["failed"]


# --- any benchmark


def parted(photos, **fields) -> Benchmark:
    """Ask for a part of a photo of class a, and for one of class c that the database lacks."""
    database = tuple(name for name in photos.names if not name.startswith("c"))
    box = Box(top=0, left=0, bottom=40, right=48)
    options = {
        "name": "drawn",
        "root": photos.root,
        "database": database,
        "queries": (Query(name="a_1", photo="a/0.png", box=box),),
        "truths": {STANDARD: (oxford_truth([0, 1], [2], []),)},
        "distractor_queries": (Query(name="c_1", photo="c/0.png"),),
    }
    return Benchmark(**options | fields)


def evaluate(benchmark, store) -> Evaluation:
    return evaluate_benchmark(extractor(), benchmark, store, search=SEARCH, pca=PCA_FILE)


def test_a_query_is_the_part_in_its_box(photos, tmp_path):
    found = evaluate(parted(photos), tmp_path / "store")
    *searched, query, stranger = found.report.extracted
    assert sorted(searched) == sorted(parted(photos).database)
    assert (query, stranger) == ("queries/a_1", "c/0.png")
    assert found.scores[STANDARD].mean_average_precision > 0.6
    assert found.summary()["benchmark"] == "drawn"
    height, width = FeatureStore(tmp_path / "store").read("queries/a_1").image_size
    assert (height, width) == (40, 48)


def test_only_the_best_features_are_used(photos, tmp_path):
    """The same store serves; of each photo the first of its features remain."""
    few = replace(SEARCH, features=7)
    found = evaluate_benchmark(
        extractor(), parted(photos), tmp_path / "store", search=few, pca=PCA_FILE
    )
    assert max(found.answers[0].ranking.votes) <= 7
    again = evaluate(parted(photos), tmp_path / "store")
    assert again.report.extracted == []
    assert max(again.answers[0].ranking.votes) > 7
    assert found.settings["search"]["features"] == 7


def test_distractors_do_not_teach_the_pca(photos, tmp_path):
    """With and without distractors at the end of the database, the PCA is the same."""
    names = parted(photos).database
    evaluate(parted(photos, database=names), tmp_path / "few")
    more = parted(photos, database=(*names, "c/1.png"), distractor_count=1)
    evaluate(more, tmp_path / "more")
    one, other = (FeatureStore(tmp_path / name).pca for name in ("few", "more"))
    np.testing.assert_array_equal(one.components, other.components)


def test_results_are_pooled_without_junk_and_with_distractor_queries(photos, tmp_path):
    truth = oxford_truth([0], [1], [2])
    found = evaluate(parted(photos, truths={STANDARD: (truth,)}), tmp_path / "store")
    pooled = pool(found)
    scores, correct, queries = pooled
    assert set(queries) == {0, 1}
    assert correct[queries == 0].sum() == 2
    assert not correct[queries == 1].any(), "nothing is right for a distractor query"
    assert (scores >= 0).all()
    assert (queries == 0).sum() == len(found.benchmark.database) - 1, "junk is left out"
    curve = summarize_curve(pooled, positives=2, queries=2)
    assert (curve["recalls"], curve["positives"]) == ([1, 2], 2)
    assert curve["interval"][0] <= curve["mean"] <= curve["interval"][1] <= 100
    assert curve == summarize_curve(pooled, positives=2, queries=2)


# --- what is kept of it


def test_the_summary_is_plain_json(evaluation):
    summary = evaluation.summary()
    found = json.loads(to_json(summary))
    assert found["value"] == round(100 * evaluation.scores[STANDARD].mean_average_precision, 2)
    low, high = found["interval"]
    assert 0 <= low <= found["value"] <= high <= 100
    assert list(found["precision_at"]) == ["1", "5"]
    assert (found["queries"], found["database"], found["failed"]) == (9, 9, {})
    assert found["index"] == {"kind": "ExactIndex", "recall_at_60": 1.0}
    assert found["config"]["search"]["ransac"]["hypotheses"] == 64
    assert found["config"]["reduction"]["dimensions"] == 8
    assert {"versions", "hardware", "seconds"} <= set(found)


# --- the index


def test_the_index_is_built_as_asked_and_told(photos, tmp_path):
    """A graph of one edge a node misses neighbors; and says so."""
    graph = IndexConfig(kind="nndescent", settings={"degree": 1, "entries": 1, "beam": 1})
    found = run(photos, tmp_path / "store", index=graph)
    assert found.index_kind == "NNDescentIndex"
    assert 0 < found.recall <= 1
    assert found.settings["index"] == {"kind": "nndescent", "settings": dict(graph.settings)}


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
    message = "no query has another readable photo of its own in the database"
    with pytest.raises(ValueError, match=message):
        run(photos, tmp_path / "store", queries="0.*", database="0.*")
    for name in ("a/1.png", "b/1.png"):
        photos.path(name).write_text("no photo")
    for number, query in enumerate(("0.*", "1.*")):
        with pytest.raises(ValueError, match=message):
            run(photos, tmp_path / str(number), queries=query)
    with pytest.raises(PhotoError, match="is not an image"):
        run(photos, tmp_path / "2", database="1.*")
