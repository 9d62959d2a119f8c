"""What is put around the search, on a drawn benchmark: each combination, and what it may not be."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import classes, extractor, flat

from delfjax.datasets.benchmark import STANDARD
from delfjax.datasets.labeled import labeled
from delfjax.datasets.truth import Truth
from delfjax.evaluation.benchmark import (
    CombinedConfig,
    evaluate_benchmark,
    evaluate_combined,
)
from delfjax.evaluation.precision_recall import pool
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.geometry.ransac import RansacConfig
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.searcher import SearchConfig

SEARCH = SearchConfig(neighbors=20, ransac=RansacConfig(hypotheses=64, residual=2.0))
PCA_FILE = PCAConfig(dimensions=8)
POOLING = GlobalConfig(longest=64)
TRUST = ExpansionConfig(inliers=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("combined")


@pytest.fixture(scope="module")
def benchmark(folder):
    return labeled(classes(folder / "photos"))


@pytest.fixture(scope="module")
def run(folder, benchmark):
    """Evaluate with one store and one file for all."""

    def evaluate(whiten=None, benchmark=benchmark, **options):
        return evaluate_combined(
            extractor(),
            benchmark,
            folder / "store",
            folder / "vectors.safetensors",
            config=CombinedConfig(expansion=TRUST, **options),
            whiten=whiten,
            search=SEARCH,
            pca=PCA_FILE,
        )

    return evaluate


def nothing() -> Truth:
    return Truth(positives=np.empty(0, int), junk=np.empty(0, int))


def rankings(evaluation):
    return [answer.ranking.images.tolist() for answer in evaluation.answers]


def test_with_nothing_around_it_is_the_plain_search(run, folder, benchmark):
    plain = evaluate_benchmark(
        extractor(), benchmark, folder / "store", search=SEARCH, pca=PCA_FILE
    )
    assert rankings(run()) == rankings(plain)
    assert CombinedConfig().is_plain


def test_global_descriptors_alone_need_no_local_features(run, folder, benchmark):
    found = run(pooling=POOLING, benchmark=replace(benchmark, name="alone"))
    assert all(sorted(images) == list(range(9)) for images in rankings(found))
    assert [images[0] for images in rankings(found)] == list(range(9)), (
        "a photo is most like itself"
    )
    assert found.index_kind == "none"
    assert "search" not in found.settings
    summary = found.summary()
    assert summary["what"] == "mAP, alone, global gem"
    assert len(pool(found).scores) == 9 * 8, "all results count, but junk"


@pytest.mark.parametrize(
    "options",
    [
        *({"expand": "local"}, {"pooling": POOLING, "fuse": 0.25}),
        *({"pooling": POOLING, "shortlist": 4}, {"pooling": POOLING, "expand": "alpha"}),
        {"pooling": POOLING, "fuse": 0.25, "expand": "average"},
        {"pooling": POOLING, "fuse": 0.5, "shortlist": 3, "expand": "local"},
    ],
)
def test_every_combination_finds_the_photo_itself_and_repeats(run, options):
    found, again = run(**options), run(**options)
    assert rankings(found) == rankings(again)
    assert np.mean([images[0] == n for n, images in enumerate(rankings(found))]) > 0.8
    assert found.settings["combined"]["expand"] == options.get("expand")


def test_a_fusion_of_weight_0_is_the_similarity(run):
    assert rankings(run(pooling=POOLING, fuse=0.0)) == rankings(run(pooling=POOLING))


def test_a_shortlist_of_all_photos_verifies_what_the_plain_search_does(run):
    every, plain = run(pooling=POOLING, shortlist=9), run()
    for one, other in zip(every.answers, plain.answers, strict=True):
        count = len(other.ranking)
        np.testing.assert_array_equal(one.ranking.inliers[:count], other.ranking.inliers)


def test_photos_beyond_the_shortlist_are_not_verified(run):
    found = run(pooling=POOLING, shortlist=2)
    assert all((answer.ranking.inliers[2:] == -1).all() for answer in found.answers)
    assert all(len(answer.ranking) == 9 for answer in found.answers)


def test_whitening_is_learned_of_other_photos(run, folder):
    others = flat(folder / "others", 12)
    found = run(whiten=others, pooling=POOLING, whitened=6)
    run(whiten=others.select("[0-7].png"), pooling=POOLING, whitened=6)
    assert len(list(folder.glob("vectors-whitening-*.safetensors"))) == 1
    run(whiten=flat(folder / "more", 8), pooling=POOLING, whitened=6)
    assert len(list(folder.glob("vectors-whitening-*.safetensors"))) == 2, "a file for each folder"
    assert found.summary()["what"].endswith("global gem, whitened")
    assert rankings(found) != rankings(run(pooling=POOLING))


def test_broken_photos_are_left_out(tmp_path):
    photos = classes(tmp_path / "photos", count=2)
    photos.path("a/1.png").write_text("no photo")
    found = evaluate_combined(
        extractor(),
        labeled(photos),
        tmp_path / "store",
        tmp_path / "vectors.safetensors",
        config=CombinedConfig(pooling=POOLING, fuse=0.25),
        search=SEARCH,
        pca=PCA_FILE,
    )
    assert list(found.report.failed) == ["a/1.png"]
    assert "a/1.png" not in found.benchmark.database


@pytest.mark.parametrize("options", [{}, {"fuse": 0.25}])
def test_nothing_to_find_is_an_error(run, folder, benchmark, options):
    """With local features as without: what `evaluate_benchmark` says."""
    alone = replace(benchmark, truths={STANDARD: (nothing(),) * len(benchmark.queries)})
    with pytest.raises(ValueError, match="no query has another readable photo of its own"):
        run(pooling=POOLING, benchmark=alone, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fuse": 0.25}, "need global descriptors"),
        ({"shortlist": 5}, "need global descriptors"),
        ({"expand": "alpha"}, "need global descriptors"),
        ({"pooling": POOLING, "expand": "local"}, "needs local features"),
        ({"pooling": POOLING, "shortlist": 0}, "shortlist is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CombinedConfig(**options)
