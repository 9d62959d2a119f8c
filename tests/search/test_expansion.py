"""Query expansion: of vectors, and of local features through the affine map that verified a photo."""

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
from delfjax.search.searcher import Searcher

SIZE = 480, 640


def unit(seed, count=None):
    vectors = np.random.default_rng(seed).normal(size=(count or 1, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors if count else vectors[0]


# --- vectors


@given(st.integers(0, 1000), st.sampled_from([0.0, 1.0, 3.0]))
def test_an_average_is_a_unit_vector_and_takes_photos_in_any_order(seed, alpha):
    query, photos = unit(seed), unit(seed + 1, 5)
    found = expand_global(query, photos, alpha=alpha)
    assert np.linalg.norm(found) == pytest.approx(1)
    np.testing.assert_allclose(found, expand_global(query, photos[::-1], alpha=alpha))


def test_without_photos_the_query_stays():
    np.testing.assert_allclose(expand_global(unit(0), unit(1, 1)[:0]), unit(0))


def test_alpha_0_is_the_mean_of_query_and_photos():
    query, photos = unit(0), unit(1, 4)
    mean = np.r_[query[None], photos].mean(0)
    np.testing.assert_allclose(expand_global(query, photos), mean / np.linalg.norm(mean))


def test_alpha_trusts_the_nearer_photos_more():
    query, near, far = np.eye(16)[0], np.eye(16)[1], np.eye(16)[2]
    photos = np.stack([0.9 * query + 0.436 * near, 0.3 * query + 0.954 * far])
    plain, weighted = (expand_global(query, photos, alpha=alpha) for alpha in (0.0, 3.0))
    assert weighted[1] / weighted[2] > 10 * plain[1] / plain[2]
    away = expand_global(query, -photos, alpha=3.0)
    np.testing.assert_allclose(away, query, err_msg="an opposite photo adds nothing")


# --- local features


@pytest.fixture
def world():
    """The query shows half of a place: photo 2 shows all of it, photo 3 only what the query lacks."""
    whole = place(50, count=120)
    base = Database.from_features(
        [f"photo{n}" for n in range(5)],
        [place(1), place(2), view(whole, 1), view(whole, 2)[60:], place(3)],
    )
    return whole[:60], whole, base


def test_trust_takes_inliers(world):
    query, _, base = world
    answer = Searcher(base)(query)
    assert trusted_photos(answer, ExpansionConfig(min_inliers=40)).tolist() == [2]
    assert len(trusted_photos(answer, ExpansionConfig(min_inliers=61))) == 0
    assert len(trusted_photos(answer, ExpansionConfig(min_inliers=0, max_photos=2))) == 2


def test_features_come_to_where_the_query_would_see_them(world):
    _, whole, base = world
    found = map_to_query(base.features(2), np.float32(AFFINE), SIZE)
    np.testing.assert_allclose(found.positions, whole.positions, atol=0.01)
    enlarges = np.sqrt(np.linalg.det(AFFINE[:, :2]))
    np.testing.assert_allclose(found.scales, enlarges, rtol=1e-5)
    assert found.image_size == SIZE


def test_what_lies_outside_of_the_query_is_left_out(world):
    _, whole, base = world
    found = map_to_query(base.features(2), np.float32(AFFINE), (200, 300))
    expected = ((whole.positions >= -0.5) & (whole.positions < (199.5, 299.5))).all(1)
    assert len(found) == expected.sum() < len(whole)


def test_a_query_gains_what_a_verified_photo_shows_beside(world):
    query, whole, base = world
    answer = Searcher(base)(query)
    config = ExpansionConfig(min_inliers=40)
    more = expand_local(query, answer, base, config)
    assert len(more) == 120, "60 of its own, 60 new ones; those it had are not doubled"
    places = {tuple(np.round(row / 3)) for row in whole.positions}
    assert np.mean([tuple(np.round(row / 3)) in places for row in more.positions]) > 0.8
    before = dict(zip(answer.ranking.images, answer.ranking.inliers, strict=True))
    again = Searcher(base)(more).ranking
    after = dict(zip(again.images, again.inliers, strict=True))
    assert after[3] > before[3] + 40, "found only by what was added"
    assert again.images[:2].tolist() == [2, 3]


def test_growth_is_bounded_and_takes_the_best(world):
    query, _, base = world
    scores = np.linspace(2, 1, len(base.features(2))).astype(np.float32)
    base.scores[slice(*base.offsets[2:4])] = scores
    answer = Searcher(base)(query)
    config = ExpansionConfig(min_inliers=40, max_growth=0.25)
    more = expand_local(query, answer, base, config)
    assert len(more) == 75
    assert (np.diff(more.scores) <= 0).all()
    added = more.scores[more.scores != 1]
    assert set(added) <= set(scores[60:76]), "the first 60 are what the query has already"


def test_without_a_trusted_photo_the_query_stays(world):
    query, _, base = world
    answer = Searcher(base)(query)
    same = expand_local(query, answer, base, ExpansionConfig(min_inliers=100))
    np.testing.assert_array_equal(same.positions, query.positions)
    np.testing.assert_array_equal(same.descriptors, query.descriptors)
    nothing = features(np.empty((0, 2)), np.empty((0, 40)))
    assert len(expand_local(nothing, Searcher(base)(nothing), base)) == 0


def test_the_same_input_expands_alike(world):
    query, _, base = world
    answer = Searcher(base)(query)
    one, other = (
        expand_local(query, answer, base, ExpansionConfig(min_inliers=10)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(one.descriptors, other.descriptors)
