"""Votes, pairing, verification and ranking on a database with known results."""

from dataclasses import replace

import numpy as np
import pytest
from places import AFFINE, directions, place, view

from delfjax.features.database import Database
from delfjax.features.pca import PCA
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig
from delfjax.search.exact import ExactIndex
from delfjax.search.index import IndexConfig, build_index
from delfjax.search.nndescent import NNDescentIndex
from delfjax.search.searcher import SearchConfig, Searcher


@pytest.fixture
def database():
    """Photo 3 shows the query's place, 7 its descriptors at random positions, 9 half of it."""
    photos = [place(seed) for seed in range(12)]
    query = place(99)
    photos[3] = view(query, 1)
    photos[7] = view(query, 2, geometry=False)
    photos[9] = view(query, 3, share=0.5)
    return query, Database.from_features([f"photo{n}" for n in range(12)], photos)


def assert_same(found, expected):
    for name in ("images", "inliers", "votes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


# --- ranking


def test_inliers_rank_geometry_above_votes(database):
    query, base = database
    result = Searcher(base, config=SearchConfig(score="inliers"))(query)
    ranking = result.ranking
    assert ranking.scores is None
    assert ranking.images[0] == 3
    assert ranking.images[1] == 9
    assert ranking.inliers[0] == 60
    assert ranking.inliers[list(ranking.images).index(7)] < 15
    np.testing.assert_allclose(result.verifications[3].affine, AFFINE, atol=0.05)


def test_votes_and_inliers_count_together_without_attention(database):
    query, base = database
    ranking = Searcher(base, config=SearchConfig(verified=2, max_distance=1.0))(query).ranking
    verified = np.maximum(ranking.inliers, 0)
    np.testing.assert_array_equal(ranking.scores, ranking.votes + verified)
    assert (np.diff(ranking.scores) <= 0).all()
    assert ranking.images[0] == 3
    assert (ranking.inliers >= 0).sum() == 2
    # Photo 7 has twice the votes of photo 9, which has as many inliers as votes.
    assert ranking.images[:3].tolist() == [3, 7, 9]


def test_the_weight_of_a_match_is_the_product_of_relative_scores(database):
    query, base = database
    query = replace(query, scores=np.linspace(3, 1, 60))
    scores = np.random.default_rng(0).uniform(1, 9, len(base.scores))
    base = replace(base, scores=scores, attention=True)
    searcher = Searcher(base, config=SearchConfig(max_distance=0.5))
    result = searcher(query)
    pairs = searcher.pair_features(searcher.find_neighbors(query))
    for image, score in zip(result.ranking.images.tolist(), result.ranking.scores, strict=True):
        photo, own = base.features(image), pairs.of_photo(image)
        rows = own.database_rows - base.offsets[image]
        weights = query.scores[own.query_rows] / 2 * photo.scores[rows] / photo.scores.mean()
        inliers = result.verifications[image].inliers
        np.testing.assert_allclose(score, weights.sum() + weights[inliers].sum(), rtol=1e-5)


def test_weights_choose_the_photos_to_verify(database):
    """Photos 3 and 7 have as many votes, but features with high scores match in photo 7."""
    query, base = database
    query = replace(query, scores=np.linspace(3, 1, 60))
    searcher = Searcher(base, config=SearchConfig(verified=1, max_distance=0.5))
    matched = searcher.pair_features(searcher.find_neighbors(query)).of_photo(7)
    scores = np.ones(len(base.scores))
    scores[matched.database_rows] = query.scores[matched.query_rows]
    base = replace(base, scores=scores, attention=True)
    ranking = Searcher(base, config=searcher.config)(query).ranking
    assert ranking.images[ranking.inliers >= 0].tolist() == [7]


def test_features_count_the_same_if_all_scores_are_zero(database):
    query, base = database
    base = replace(base, scores=0 * base.scores, attention=True)
    ranking = Searcher(base)(query).ranking
    np.testing.assert_array_equal(ranking.scores, ranking.votes + np.maximum(ranking.inliers, 0))
    assert ranking.images[0] == 3


def test_scales_reach_the_verification(database):
    query, base = database
    base = replace(base, scales=4 * base.scales)  # no map of these photos shrinks four times
    result = Searcher(base)(query)
    assert result.ranking.inliers.max() <= 4
    np.testing.assert_array_equal(result.matches[3].scales, [[1, 4]] * len(result.matches[3]))
    fixed = SearchConfig(ransac=RansacConfig(scale_aware=False))
    assert Searcher(base, config=fixed)(query).ranking.inliers.max() == 60


def test_each_query_feature_votes_once_per_photo(database):
    query, base = database
    config = SearchConfig(neighbors=3, max_distance=0.5)
    ranking = Searcher(base, config=config)(query).ranking
    votes = dict(zip(ranking.images.tolist(), ranking.votes.tolist(), strict=True))
    assert votes == {3: 60, 7: 60, 9: 30}


def test_photos_without_votes_are_not_ranked(database):
    query, base = database
    ranking = Searcher(base, config=SearchConfig(max_distance=0.5))(query).ranking
    assert sorted(ranking.images) == [3, 7, 9]


def test_a_query_without_features_finds_nothing(database):
    query, base = database
    result = Searcher(base)(query[:0])
    assert len(result.ranking) == 0
    assert result.matches == {}


def test_unverified_photos_follow_by_votes(database):
    query, base = database
    ranking = Searcher(base, config=SearchConfig(neighbors=3, verified=1))(query).ranking
    assert (ranking.inliers[1:] == -1).all()
    assert (np.diff(ranking.votes[1:]) <= 0).all()


def test_ties_are_ranked_by_index():
    """Two copies of one photo have the same score."""
    query = place(5)
    photos = [place(1), view(query, 1), view(query, 1)]
    ranking = Searcher(Database.from_features(["a", "b", "c"], photos))(query).ranking
    assert ranking.inliers[0] == ranking.inliers[1]
    assert ranking.images[:2].tolist() == [1, 2]


def test_the_last_photo_is_found():
    query = place(5)
    base = Database.from_features(["a", "b", "last"], [place(1), place(2), view(query, 1)])
    assert Searcher(base)(query).ranking.images[0] == 2


@pytest.mark.parametrize("index", ["nndescent", IndexConfig(kind="nndescent"), "built"])
def test_the_index_is_a_kind_a_configuration_or_built(database, index):
    query, base = database
    index = NNDescentIndex.build(base.descriptors) if index == "built" else index
    searcher = Searcher(base, index)
    assert isinstance(searcher.index, NNDescentIndex)
    assert searcher(query).ranking.images[0] == 3


def test_names_and_features_must_agree():
    with pytest.raises(ValueError, match="2 names for 1 photos"):
        Database.from_features(["a", "b"], [place(1)])


# --- pairing


def pair_by_definition(base, neighbors, config):
    """Pair features by the rule, one feature and one photo at a time."""
    rows, distances = neighbors
    found = {}
    for feature, (nearest, far) in enumerate(zip(rows, distances, strict=True)):
        for row, distance in zip(nearest, far, strict=True):
            key = (base.photo_indices[row], feature)
            near = config.ratio == 1 or distance < config.ratio * far[-1]
            if near and distance <= config.max_distance and key not in found:
                found[key] = (row, distance)
    if config.one_to_one:
        best = {}
        for (image, feature), (row, distance) in sorted(found.items()):
            if row not in best or distance < best[row][1]:
                best[row] = ((image, feature), distance)
        found = {key: (row, distance) for row, (key, distance) in best.items()}
    return {(int(image), int(feature), int(row)) for (image, feature), (row, _) in found.items()}


@pytest.mark.parametrize("one_to_one", [True, False])
@pytest.mark.parametrize("limits", [{}, {"max_distance": 1.2}, {"ratio": 0.95}])
def test_pairs_follow_the_definition(database, one_to_one, limits):
    query, base = database
    config = SearchConfig(neighbors=20, one_to_one=one_to_one, **limits)
    searcher = Searcher(base, ExactIndex(base.descriptors), config)
    neighbors = searcher.find_neighbors(query)
    pairs = searcher.pair_features(neighbors)
    columns = pairs.images, pairs.query_rows, pairs.database_rows
    found = set(zip(*(column.tolist() for column in columns), strict=True))
    assert found == pair_by_definition(base, neighbors, config)
    assert (np.diff(pairs.images) >= 0).all()


# --- stores, and features that are not reduced


@pytest.fixture(scope="module")
def reduction():
    """A PCA of 64 dimensions to 40, and its inverse for unit vectors."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 40)))[0].T.astype(np.float32)
    pca = PCA(mean=np.zeros(64, np.float32), components=axes, variances=np.ones(40, np.float32))
    return pca, axes


def unreduced(photo, axes):
    return photo.with_descriptors(7 * photo.descriptors @ axes)


@pytest.fixture(scope="module")
def store(tmp_path_factory, reduction):
    query = place(99)
    photos = {"a": place(1), "b": view(query, 1), "c": place(2)}
    with FeatureStore(tmp_path_factory.mktemp("features") / "store", {"model": "none"}) as store:
        store.reduce(reduction[0])
        for name, photo in photos.items():
            store.write(name, photo)
    return store


def test_a_searcher_of_a_store_reduces_queries(store, reduction):
    query = place(99)
    searcher = Searcher(store)
    reduced = searcher.reduce(unreduced(query, reduction[1]))
    np.testing.assert_allclose(reduced.descriptors, query.descriptors, atol=1e-5)
    assert searcher.reduce(query) is query, "as many dimensions as the database"
    result = searcher(unreduced(query, reduction[1]))
    assert searcher.database.names[result.ranking.images[0]] == "b"
    assert_same(result.ranking, Searcher(store.gather())(reduced).ranking)


def test_a_searcher_of_a_store_limits_database_and_queries(store, reduction):
    config = SearchConfig(features=30, truncate=16)
    searcher = Searcher(store, config=config)
    assert searcher.database.descriptors.shape == (90, 16)
    for query in (place(99), unreduced(place(99), reduction[1])):
        reduced = searcher.reduce(query)
        assert reduced.descriptors.shape == (30, 16)
        expected = config.limit_features(place(99)).descriptors
        np.testing.assert_allclose(reduced.descriptors, expected, atol=1e-5)


def test_a_database_can_be_given_its_pca(store, reduction):
    searcher = Searcher(store.gather(), pca=reduction[0])
    assert searcher(unreduced(place(2), reduction[1])).ranking.images[0] == 2


def test_a_pca_that_keeps_all_dimensions_is_an_error():
    base = Database.from_features(["a"], [place(1)])
    pca = PCA.fit(directions(100, 0))
    with pytest.raises(
        ValueError, match=r"keeps all 40 dimensions.*Fix: use Searcher\(store.gather"
    ):
        Searcher(base, pca=pca)


def test_features_of_another_model_are_an_error(store):
    photo = place(1).with_descriptors(np.float32(directions(60, 0)[:, :30]))
    with pytest.raises(ValueError, match="30 dimensions; expected 40"):
        Searcher(store)(photo)


# --- searching some photos, and other indexes


def test_a_subset_is_ranked_like_a_database_of_its_own(database):
    query, base = database
    images = np.array([9, 1, 3, 5])
    result = Searcher(base).search_subset(query, images)
    assert result.ranking.images[:2].tolist() == [3, 9]
    assert set(result.ranking.images.tolist()) <= {9, 1, 3, 5}
    assert result.verifications[3].num_inliers == result.ranking.inliers[0] == 60
    positions = {tuple(row) for row in base.features(3).positions}
    assert {tuple(row) for row in result.matches[3].database} <= positions


def test_the_index_of_another_database_is_refused(database):
    other = build_index(database[1].descriptors[1:], "exact")
    with pytest.raises(ValueError, match="Fix: build the index from this database"):
        Searcher(database[1], other)


def test_an_index_needs_descriptors(database):
    with pytest.raises(ValueError, match="the photos have no features"):
        build_index(database[1].descriptors[:0])
