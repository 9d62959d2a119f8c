"""Query expansion of global descriptors and of local features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import AFFINE, features, place, view

from delfjax.features.database import Database
from delfjax.search.expansion import (
    ExpansionConfig,
    expand_global,
    expand_local,
    map_to_query,
    trusted_photos,
)
from delfjax.search.fusion import fuse
from delfjax.search.searcher import Searcher

SIZE = 480, 640


EQUAL = ExpansionConfig(kind="average")


def weighted(alpha):
    return ExpansionConfig(kind="alpha", alpha=alpha)


def unit(seed, count=None):
    vectors = np.random.default_rng(seed).normal(size=(count or 1, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors if count else vectors[0]


# --- global descriptors


@given(st.integers(0, 1000), st.sampled_from([0.0, 1.0, 3.0]))
def test_an_average_is_a_unit_vector_and_ignores_the_order_of_photos(seed, alpha):
    query, photos = unit(seed), unit(seed + 1, 5)
    found = expand_global(query, photos, weighted(alpha))
    assert np.linalg.norm(found) == pytest.approx(1)
    np.testing.assert_allclose(found, expand_global(query, photos[::-1], weighted(alpha)))


def test_without_photos_the_query_is_unchanged():
    np.testing.assert_allclose(expand_global(unit(0), unit(1, 1)[:0], EQUAL), unit(0))


@pytest.mark.parametrize("config", [EQUAL, weighted(0.0)])
def test_equal_weights_give_the_mean_of_query_and_photos(config):
    query, photos = unit(0), unit(1, 4)
    mean = np.r_[query[None], photos].mean(0)
    np.testing.assert_allclose(expand_global(query, photos, config), mean / np.linalg.norm(mean))


def test_a_larger_alpha_gives_similar_photos_more_weight():
    query, near, far = np.eye(16)[0], np.eye(16)[1], np.eye(16)[2]
    photos = np.stack([0.9 * query + 0.436 * near, 0.3 * query + 0.954 * far])
    plain, steep = (expand_global(query, photos, config) for config in (EQUAL, weighted(3.0)))
    assert steep[1] / steep[2] > 10 * plain[1] / plain[2]
    away = expand_global(query, -photos, weighted(3.0))
    np.testing.assert_allclose(away, query, err_msg="an opposite photo adds nothing")


# --- local features


@pytest.fixture
def scene():
    """The query shows half of a place, photo 2 all of it, and photo 3 the other half."""
    whole = place(50, count=64)
    base = Database.from_features(
        [f"photo{n}" for n in range(5)],
        [place(1), place(2), view(whole, 1), view(whole, 2)[32:], place(3)],
    )
    return whole[:32], whole, base


def test_trusted_photos_have_enough_inliers(scene):
    query, _, base = scene
    result = Searcher(base)(query)
    assert trusted_photos(result, ExpansionConfig(min_inliers=20)).tolist() == [2]
    assert len(trusted_photos(result, ExpansionConfig(min_inliers=33))) == 0
    assert len(trusted_photos(result, ExpansionConfig(min_inliers=0, max_photos=2))) == 2
    fused = fuse(result, np.eye(5)[0], features=50, weight=0.0)
    assert fused.ranking.images[0] == 0
    assert trusted_photos(fused, ExpansionConfig(min_inliers=0, max_photos=1)).tolist() == [2]


def test_features_are_mapped_into_the_query(scene):
    _, whole, base = scene
    found = map_to_query(base.features(2), np.float32(AFFINE), SIZE)
    np.testing.assert_allclose(found.positions, whole.positions, atol=0.01)
    enlarges = np.sqrt(np.linalg.det(AFFINE[:, :2]))
    np.testing.assert_allclose(found.scales, enlarges, rtol=1e-5)
    assert found.image_size == SIZE


def test_features_outside_the_query_are_dropped(scene):
    _, whole, base = scene
    found = map_to_query(base.features(2), np.float32(AFFINE), (200, 300))
    expected = ((whole.positions >= -0.5) & (whole.positions < (199.5, 299.5))).all(1)
    assert len(found) == expected.sum() < len(whole)


def test_a_query_gains_the_other_features_of_a_verified_photo(scene):
    query, whole, base = scene
    result = Searcher(base)(query)
    config = ExpansionConfig(min_inliers=20)
    expanded = expand_local(query, result, base, config)
    assert len(expanded) == 64, "32 of its own and 32 new ones, without duplicates"
    cells = {tuple(np.round(row / 3)) for row in whole.positions}
    assert np.mean([tuple(np.round(row / 3)) in cells for row in expanded.positions]) > 0.8
    before = dict(zip(result.ranking.images, result.ranking.inliers, strict=True))
    again = Searcher(base)(expanded).ranking
    after = dict(zip(again.images, again.inliers, strict=True))
    assert after[3] > before[3] + 20, "found only by the added features"
    assert again.images[:2].tolist() == [2, 3]


def test_growth_is_limited_and_adds_the_best_features(scene):
    query, _, base = scene
    scores = np.linspace(2, 1, len(base.features(2))).astype(np.float32)
    base.scores[slice(*base.offsets[2:4])] = scores
    result = Searcher(base)(query)
    config = ExpansionConfig(min_inliers=20, max_growth=0.25)
    expanded = expand_local(query, result, base, config)
    assert len(expanded) == 40
    assert (np.diff(expanded.scores) <= 0).all()
    added = expanded.scores[expanded.scores != 1]
    assert set(added) <= set(scores[32:41]), "the first 32 duplicate the query's own"


def test_without_a_trusted_photo_the_query_is_unchanged(scene):
    query, _, base = scene
    result = Searcher(base)(query)
    same = expand_local(query, result, base, ExpansionConfig(min_inliers=100))
    np.testing.assert_array_equal(same.positions, query.positions)
    np.testing.assert_array_equal(same.descriptors, query.descriptors)
    empty = features(np.empty((0, 2)), np.empty((0, 40)))
    assert len(expand_local(empty, Searcher(base)(empty), base, ExpansionConfig())) == 0
