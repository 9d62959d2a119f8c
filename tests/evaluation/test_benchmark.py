"""Evaluation from photos to scores, with a tiny network: the plain search, and every optional stage."""

import json
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx
from worlds import classes, extractor, flat, network

from benchmarks.networks import random_network
from delfjax.datasets import labeled
from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, Truth
from delfjax.evaluation.benchmark import (
    Evaluation,
    evaluate,
)
from delfjax.evaluation.config import RunConfig
from delfjax.evaluation.precision_recall import pool
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import Extractor
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.pca import PCA
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig
from delfjax.images.reading import PhotoError
from delfjax.models.attention import Attention
from delfjax.provenance import PROTOCOL, to_json
from delfjax.ranges import ConfigError
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import IndexConfig
from delfjax.search.searcher import SearchConfig
from delfjax.types import Box

CONFIG = RunConfig(
    extraction=extractor().config,
    pca=PCAConfig(dimensions=8),
    search=SearchConfig(neighbors=20, ransac=RansacConfig(hypotheses=64, residual=2.0)),
)
POOLING = GlobalConfig(longest=64)
PAPER = replace(
    CONFIG.search, score="inliers", ransac=replace(CONFIG.search.ransac, scale_aware=False)
)
VOTES = replace(PAPER, verified=0)
GLOBAL = replace(CONFIG, global_descriptor=POOLING)


def expansion(kind: str) -> ExpansionConfig:
    return ExpansionConfig(kind=kind, min_inliers=8)


def run(benchmark: Benchmark, config: RunConfig = CONFIG, store=None) -> Evaluation:
    return evaluate(extractor(), benchmark, config, store=store)


def rankings(evaluation: Evaluation) -> list[list[int]]:
    return [result.ranking.images.tolist() for result in evaluation.results]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Keep features in a cache of this module's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DELFJAX_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return classes(tmp_path_factory.mktemp("evaluation") / "photos")


@pytest.fixture(scope="module")
def benchmark(photos):
    return labeled(photos.root)


@pytest.fixture(scope="module")
def plain(benchmark):
    return run(benchmark)


# --- a labeled folder


def test_every_photo_is_a_query_and_never_counts_for_itself(plain, photos):
    names = plain.benchmark.query_photos.names
    assert names == plain.benchmark.database == photos.names
    for number, truth in enumerate(plain.benchmark.truths[STANDARD]):
        assert truth.junk.tolist() == [number]
        classes = {photos.names[positive][0] for positive in truth.positives}
        assert (len(truth.positives), classes) == (2, {photos.names[number][0]})
    # A photo is most similar to itself. If that counted, every query would have a precision of 1.
    assert [images[0] for images in rankings(plain)] == list(range(9))


def test_views_of_one_picture_are_found(plain):
    """A random ranking of two correct photos among eight has a mean AP of about 0.4."""
    scores = plain.scores[STANDARD]
    assert 0.6 < plain.mean_average_precision == scores.mean_average_precision <= 1
    assert ((scores.average_precision >= 0) & np.isfinite(scores.average_precision)).all()
    assert scores.ks == (1, 5)  # ten is more than the database holds
    assert (plain.index_kind, plain.recall) == ("exact", 1.0)
    assert [*plain.seconds] == ["extract", "load", "build index", "measure recall", "search"]


def test_patterns_separate_queries_from_the_database(photos):
    found = run(labeled(photos.root, queries="0.*", database="[12].png"))
    assert found.benchmark.query_photos.names == ("a/0.png", "b/0.png", "c/0.png")
    assert found.benchmark.database == tuple(name for name in photos.names if "0.png" not in name)
    truths = found.benchmark.truths[STANDARD]
    assert [truth.junk.tolist() for truth in truths] == [[]] * 3
    assert [truth.positives.tolist() for truth in truths] == [[0, 1], [2, 3], [4, 5]]


def test_a_second_run_extracts_nothing_and_finds_the_same(plain, benchmark, photos, monkeypatch):
    monkeypatch.setattr(Extractor, "_launch", None)
    again = run(benchmark)
    assert (again.report.extracted, again.report.kept) == ([], list(photos.names))
    for one, other in zip(plain.results, again.results, strict=True):
        np.testing.assert_array_equal(one.ranking.images, other.ranking.images)
        np.testing.assert_array_equal(one.ranking.inliers, other.ranking.inliers)


def test_the_models_own_extraction_settings_are_the_default(benchmark, photos):
    found = evaluate(extractor(), benchmark)
    assert found.config.extraction == replace(extractor().config, min_contrast=0), (
        "as in a RunConfig"
    )
    assert found.config.model == extractor().name


def test_photos_that_were_replaced_get_new_features(tmp_path):
    """The cache is named by what the photos are, not only by their folder."""
    photos = classes(tmp_path / "photos", count=2)
    first = run(labeled(photos.root))
    path = photos.path("a/1.png")
    path.write_bytes(photos.path("b/1.png").read_bytes())
    second = run(labeled(photos.root))
    assert second.store != first.store
    assert second.inputs["photos"] != first.inputs["photos"]
    assert len(second.report.extracted) == len(photos)


@pytest.mark.parametrize("change", ["same size", "beside SHA256SUMS"])
def test_every_replaced_photo_changes_the_checksum(tmp_path, change):
    photos = classes(tmp_path / "photos", count=2)
    if change != "same size":  # of another data set
        (tmp_path / "SHA256SUMS").touch()
    first, path = labeled(photos.root).photos_sha256, photos.path("a/1.png")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert labeled(photos.root).photos_sha256 != first


def test_a_checksum_of_photos_names_missing_ones(photos, benchmark, tmp_path):
    assert benchmark.photos_sha256 == labeled(photos.root).photos_sha256
    assert benchmark.photos_sha256 != replace(benchmark, root=tmp_path).photos_sha256


def test_broken_photos_are_left_out(tmp_path):
    photos = classes(tmp_path / "photos", count=2)
    photos.path("a/1.png").write_text("no photo")
    for config in (CONFIG, replace(GLOBAL, fusion_weight=0.25)):
        found = run(labeled(photos.root), config)
        readable = tuple(name for name in photos.names if name != "a/1.png")
        assert list(found.report.failed) == ["a/1.png"]
        assert found.benchmark.query_photos.names == found.benchmark.database == readable
        assert found.benchmark.truths[STANDARD][0].positives.tolist() == [1]
        assert "a/1.png" in found.summary()["failed"]


# --- benchmarks with boxes, junk, distractors and distractor queries


def boxed(photos, **fields) -> Benchmark:
    """Search classes a and b for a part of a photo of a, and for a photo of c, which is a distractor query."""
    options = {
        "name": "boxed",
        "root": photos.root,
        "database": tuple(name for name in photos.names if not name.startswith("c")),
        "queries": (
            Query(name="a_1", photo="a/0.png", box=Box(top=0, left=0, bottom=40, right=48)),
        ),
        "truths": {STANDARD: (Truth(np.array([0, 1, 2])),)},
        "distractor_queries": (Query(name="c_1", photo="c/0.png"),),
    }
    return Benchmark(**options | fields)


def test_a_query_is_the_part_in_its_box(photos, tmp_path):
    found = run(boxed(photos), store=tmp_path / "store")
    *searched, query, distractor = found.report.extracted
    assert sorted(searched) == sorted(boxed(photos).database)
    assert (query, distractor) == ("queries/a_1", "c/0.png")
    assert found.mean_average_precision > 0.6
    assert FeatureStore(tmp_path / "store").read("queries/a_1").image_size == (40, 48)


def test_fewer_features_come_from_the_same_store(photos):
    few = run(boxed(photos), replace(CONFIG, search=replace(CONFIG.search, features=7)))
    assert max(few.results[0].ranking.votes) <= 7
    every = run(boxed(photos))
    assert every.report.extracted == []
    assert max(every.results[0].ranking.votes) > 7


def test_the_pca_is_learned_without_distractors(photos, tmp_path):
    names = boxed(photos).database
    run(boxed(photos, database=names), store=tmp_path / "few")
    more = boxed(photos, database=(*names, "c/1.png"), distractor_count=1)
    run(more, store=tmp_path / "more")
    one, other = (FeatureStore(tmp_path / name).pca for name in ("few", "more"))
    np.testing.assert_array_equal(one.components, other.components)


def test_pooled_results_are_without_junk_and_own_photos_and_with_distractor_queries(photos):
    truths = {STANDARD: (Truth(np.array([0, 1]), np.array([2])),)}
    found = run(boxed(photos, truths=truths))
    pooled = pool(found)
    assert set(pooled.queries) == {0, 1}
    assert pooled.correct[pooled.queries == 0].sum() == 1, "photo 0 is that of the query"
    assert not pooled.correct[pooled.queries == 1].any()
    assert (pooled.queries == 0).sum() == len(found.benchmark.database) - 2


@pytest.mark.parametrize(
    "fields",
    [{"search": VOTES}, {"search": PAPER}, {"search": CONFIG.search}, {"descriptor": POOLING}],
)
def test_equal_scores_are_ranked_in_an_order_that_does_not_depend_on_the_database(tmp_path, fields):
    """Eight copies of one photo have equal scores, with every rule."""
    photos = flat(tmp_path / "photos", 1)
    copies = [f"copy{number}.png" for number in range(8)]
    for name in copies:
        (photos.root / name).write_bytes(photos.path(photos.names[0]).read_bytes())
    config = replace(CONFIG, search=fields.get("search", PAPER))
    config = replace(
        config, pca=PCAConfig(dimensions=4), global_descriptor=fields.get("descriptor")
    )
    orders = []
    for names in (copies, copies[::-1]):
        query, truth = Query(name="a", photo=photos.names[0]), Truth(np.array([0]))
        benchmark = Benchmark(
            name="copies",
            root=photos.root,
            database=tuple(names),
            queries=(query,),
            truths={STANDARD: (truth,)},
        )
        found = run(benchmark, config, store=tmp_path / "store")
        (result,) = found.results
        ranking = result.ranking
        scores = ranking.votes if ranking.scores is None else ranking.scores
        assert len({*scores.tolist()}) == 1
        assert result.matches.keys() == result.verifications.keys() <= {*range(8)}
        orders.append([names[image] for image in result.ranking.images])
    assert orders[0] == orders[1]
    assert orders[0] not in (copies, copies[::-1])


def test_queries_that_share_photos_show_one_landmark(photos, benchmark):
    assert benchmark.landmarks == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    names = "abcde"
    database = tuple(f"{name}/0.png" for name in names)
    positives = {"easy": [[1], [], [2], [], [4]], "hard": [[1], [1], [], [3], []]}
    linked = Benchmark(
        name="linked",
        root=photos.root,
        database=database,
        queries=tuple(Query(name=name, photo=f"{name}/1.png") for name in names),
        truths={
            name: tuple(Truth(np.array(each, int)) for each in found)
            for name, found in positives.items()
        },
    )
    assert linked.landmarks == [0, 0, 1, 2, 3]
    assert linked.own_photos == {}
    moved = replace(linked, queries=(*linked.queries[:4], Query(name="e", photo="a/0.png")))
    assert moved.own_photos == {4: 0}
    assert moved.landmarks == [0, 0, 1, 2, 3]
    moved = replace(linked, queries=(*linked.queries[:4], Query(name="e", photo="c/0.png")))
    assert moved.landmarks == [0, 0, 1, 2, 1]


# --- the record and the index


def test_the_summary_is_plain_json(plain):
    found = json.loads(to_json(plain.summary()))
    assert found["value"] == round(100 * plain.mean_average_precision, 2)
    low, high = found["interval"]
    assert 0 <= low <= found["value"] <= high <= 100
    assert list(found["precision_at"]) == ["1", "5"]
    assert (found["queries"], found["database"], found["failed"]) == (9, 9, {})
    assert found["landmarks"] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found["index"] == {"kind": "exact", "recall_at_60": 1.0}
    assert RunConfig.from_dict(found["config"]) == plain.config
    assert found["protocol_version"] == PROTOCOL
    assert {"model", "photos"} == set(found["inputs_sha256"])
    assert {"versions", "hardware", "seconds"} <= set(found)


def test_the_index_has_its_settings_and_its_recall_is_measured(benchmark):
    """A graph with one edge per node misses neighbors."""
    graph = IndexConfig(kind="nndescent", settings={"degree": 1, "entries": 1, "beam": 1})
    found = run(benchmark, replace(CONFIG, index=graph))
    assert found.index_kind == "nndescent"
    assert 0 < found.recall < 1
    assert found.summary()["config"]["index"] == {"kind": "nndescent", "settings": graph.settings}


# --- optional stages


def test_global_descriptors_alone_need_no_local_features(benchmark, cache):
    found = run(replace(benchmark, name="alone"), GLOBAL)
    assert all(sorted(images) == list(range(9)) for images in rankings(found))
    assert [images[0] for images in rankings(found)] == list(range(9))
    assert (found.index_kind, found.store.is_dir()) == ("none", True)
    assert found.summary()["what"] == f"mAP, alone, global gem, {extractor().name}"
    assert len(pool(found).scores) == 9 * 8, "all results count but junk"


@pytest.mark.parametrize(
    "fields",
    [
        {"expansion": expansion("local"), "global_descriptor": None},
        {"expansion": expansion("alpha")},
        {"fusion_weight": 0.25, "expansion": expansion("average")},
        {"fusion_weight": 0.5, "shortlist": 3, "expansion": expansion("local")},
    ],
)
def test_every_combination_finds_the_photo_itself_and_repeats(benchmark, fields):
    config = replace(GLOBAL, **fields)
    found, again = run(benchmark, config), run(benchmark, config)
    assert rankings(found) == rankings(again)
    assert np.mean([images[0] == n for n, images in enumerate(rankings(found))]) > 0.8


def test_a_fusion_weight_of_0_ranks_by_similarity(benchmark):
    fused = run(benchmark, replace(GLOBAL, fusion_weight=0.0))
    assert rankings(fused) == rankings(run(benchmark, GLOBAL))


def test_a_shortlist_of_all_photos_verifies_what_the_plain_search_verifies(plain, benchmark):
    every = run(benchmark, replace(GLOBAL, shortlist=9))
    for one, other in zip(every.results, plain.results, strict=True):
        count = len(other.ranking)
        np.testing.assert_array_equal(one.ranking.inliers[:count], other.ranking.inliers)


def test_a_shortlist_needs_no_index(benchmark):
    graph = IndexConfig(kind="nndescent", settings={"degree": 1, "entries": 1, "beam": 1})
    found = run(benchmark, replace(GLOBAL, shortlist=2, index=graph))
    assert (found.index_kind, found.recall) == ("exact", 1.0)
    assert all((result.ranking.inliers[2:] == -1).all() for result in found.results)
    assert all(len(result.ranking) == 9 for result in found.results)


def test_the_whitening_is_learned_from_other_photos(benchmark, tmp_path, cache):
    def whitenings() -> int:
        return len(list((cache / "stores").glob("*-whitening-*")))

    whitened = replace(
        GLOBAL, whitening=str(flat(tmp_path / "one", 12).root), whitening_dimensions=6
    )
    found = run(benchmark, whitened)
    assert whitenings() == 1
    run(benchmark, replace(whitened, whitening=str(flat(tmp_path / "other", 8).root)))
    assert whitenings() == 2, "one store for each folder"
    assert ", global gem, whitened, " in found.summary()["what"]
    assert rankings(found) != rankings(run(benchmark, GLOBAL))


def test_a_whitening_learns_from_sub_folders_of_landmarks(benchmark, tmp_path, monkeypatch):
    labels = []
    fit = PCA.fit_discriminative
    monkeypatch.setattr(
        PCA, "fit_discriminative", lambda x, y, **size: labels.extend(y) or fit(x, y, **size)
    )
    for place in (0, 1):
        flat(tmp_path / "places" / "ab"[place], 6)
    whitened = replace(GLOBAL, whitening=str(tmp_path / "places"), whitening_dimensions=6)
    run(benchmark, whitened)
    assert labels == ["a"] * 6 + ["b"] * 6
    run(benchmark, replace(whitened, whitening=str(tmp_path / "places" / "a")))
    assert len(labels) == 12, "without landmarks, the whitening is a PCA"


def test_a_whitening_may_have_more_dimensions_than_the_projected_features(benchmark, tmp_path):
    channels = network().spec.channels
    head = random_network(lambda: Attention(channels, hidden=8, projected=8, rngs=nnx.Rngs(0)), 0)
    folder = str(flat(tmp_path / "one", 12).root)
    whitened = replace(GLOBAL, whitening=folder, whitening_dimensions=9)
    found = evaluate(Extractor(network(), head), benchmark, whitened)
    assert found.config.whitening_dimensions == 9
    with pytest.raises(ConfigError, match=f"at most {channels}"):
        evaluate(extractor(), benchmark, replace(whitened, whitening_dimensions=channels + 1))


def test_photos_of_the_whitening_that_cannot_be_read_are_reported(benchmark, tmp_path):
    photos = flat(tmp_path / "one", 12)
    broken = photos.path(photos.names[0])
    broken.write_text("no photo")
    found = run(benchmark, replace(GLOBAL, whitening=str(photos.root), whitening_dimensions=6))
    assert [*found.report.failed] == [str(broken)]


# --- errors


MESSAGE = "no query has a correct database photo"


def test_nothing_to_find_is_an_error(tmp_path):
    photos = classes(tmp_path / "photos", count=2, views=2)
    with pytest.raises(ValueError, match=MESSAGE):
        run(labeled(photos.root, queries="0.*", database="0.*"))
    for name in ("a/1.png", "b/1.png"):
        photos.path(name).write_text("no photo")
    for pattern in ("0.*", "1.*"):
        with pytest.raises(ValueError, match=MESSAGE):
            run(labeled(photos.root, queries=pattern))
    with pytest.raises(PhotoError, match="not an image"):
        run(labeled(photos.root, database="1.*"))


@pytest.mark.parametrize("config", [GLOBAL, replace(GLOBAL, fusion_weight=0.25)])
def test_a_benchmark_without_positives_is_an_error(benchmark, config):
    nothing = Truth(positives=np.empty(0, int), junk=np.empty(0, int))
    alone = replace(benchmark, truths={STANDARD: (nothing,) * len(benchmark.queries)})
    with pytest.raises(ValueError, match=MESSAGE):
        run(alone, config)
