"""Votes, pairing, verification and ranking on a database whose answers are known."""

from itertools import pairwise

import numpy as np
import pytest
from places import AFFINE, place, view

from delfjax.features.database import Database
from delfjax.geometry.ransac import RansacConfig
from delfjax.search.exact import ExactIndex
from delfjax.search.searcher import SearchConfig, Searcher


@pytest.fixture
def database():
    """Photo 3 is the query's place; 7 has its descriptors at random positions; 9 half of them."""
    photos = [place(seed) for seed in range(12)]
    query = place(99)
    photos[3] = view(query, 1)
    photos[7] = view(query, 2, geometry=False)
    photos[9] = view(query, 3, share=0.5)
    return query, Database.from_features([f"photo{n}" for n in range(12)], photos)


def test_verification_ranks_geometry_above_votes(database):
    query, base = database
    ranking = Searcher(base)(query).ranking
    assert ranking.images[0] == 3
    assert ranking.images[1] == 9
    assert ranking.inliers[0] == 60
    assert ranking.inliers[list(ranking.images).index(7)] < 15
    np.testing.assert_allclose(ranking.affines[0], AFFINE, atol=0.05)


def test_votes_count_query_features_once_a_photo(database):
    query, base = database
    config = SearchConfig(neighbors=3, max_distance=0.5)
    ranking = Searcher(base, config=config)(query).ranking
    assert dict(zip(ranking.images.tolist(), ranking.votes.tolist(), strict=True)) == {
        3: 60,
        7: 60,
        9: 30,
    }


def test_photos_without_a_vote_are_not_ranked(database):
    query, base = database
    ranking = Searcher(base, config=SearchConfig(max_distance=0.5))(query).ranking
    assert sorted(ranking.images) == [3, 7, 9]


def test_a_query_without_features_finds_nothing(database):
    query, base = database
    answer = Searcher(base)(query[:0])
    assert len(answer.ranking) == 0
    assert answer.matches == {}


def test_unverified_photos_follow_by_votes(database):
    query, base = database
    ranking = Searcher(base, config=SearchConfig(neighbors=3, verified=1))(query).ranking
    assert (ranking.inliers[1:] == -1).all()
    assert np.isnan(ranking.affines[1:]).all()
    assert (np.diff(ranking.votes[1:]) <= 0).all()


def test_ties_go_by_number():
    """Two copies of one photo score the same: the lower number comes first, always."""
    query = place(5)
    base = Database.from_features(["a", "b", "c"], [place(1), view(query, 1), view(query, 1)])
    ranking = Searcher(base)(query).ranking
    assert ranking.inliers[0] == ranking.inliers[1]
    assert ranking.images[:2].tolist() == [1, 2]


def test_the_last_photo_is_found():
    query = place(5)
    base = Database.from_features(["a", "b", "last"], [place(1), place(2), view(query, 1)])
    assert Searcher(base)(query).ranking.images[0] == 2


def test_same_seed_same_ranking(database):
    query, base = database
    config = SearchConfig(ransac=RansacConfig(seed=3))
    first, again = (Searcher(base, config=config)(query).ranking for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.inliers, again.inliers)


def literal_pairs(base, neighbors, config):
    """The rule of pairing, feature by feature and photo by photo."""
    rows, distances = neighbors
    found = {}
    for feature, (near, far) in enumerate(zip(rows, distances, strict=True)):
        for row, distance in zip(near, far, strict=True):
            key = (base.photo_indices[row], feature)
            if distance <= config.max_distance and key not in found:
                found[key] = (row, distance)
    if config.one_to_one:
        best = {}
        for (image, feature), (row, distance) in sorted(found.items()):
            if row not in best or distance < best[row][1]:
                best[row] = ((image, feature), distance)
        found = {key: (row, distance) for row, (key, distance) in best.items()}
    return {(int(image), int(feature), int(row)) for (image, feature), (row, _) in found.items()}


@pytest.mark.parametrize("one_to_one", [True, False])
@pytest.mark.parametrize("max_distance", [float("inf"), 1.2])
def test_pairing_follows_its_rule(database, one_to_one, max_distance):
    query, base = database
    config = SearchConfig(neighbors=20, max_distance=max_distance, one_to_one=one_to_one)
    searcher = Searcher(base, ExactIndex(base.descriptors), config)
    neighbors = searcher.find_neighbors(query)
    pairs = searcher.pair_features(neighbors)
    ours = set(
        zip(pairs.images.tolist(), pairs.features.tolist(), pairs.rows.tolist(), strict=True)
    )
    assert ours == literal_pairs(base, neighbors, config)
    assert (np.diff(pairs.images) >= 0).all()


def test_names_and_features_must_agree():
    with pytest.raises(ValueError, match="2 names for 1 photos"):
        Database.from_features(["a", "b"], [place(1)])


# --- the ratio test


def test_the_ratio_test_compares_with_the_last_neighbor(database):
    query, base = database
    config = SearchConfig(neighbors=20, ratio=0.7, one_to_one=False)
    searcher = Searcher(base, config=config)
    rows, distances = searcher.find_neighbors(query)
    pairs = searcher.pair_features((rows, distances))
    assert len(pairs.images) > 0
    assert (pairs.distances < 0.7 * distances[pairs.features, -1]).all()
    assert {3, 7, 9} == set(pairs.images.tolist()), "what is right is far nearer than the rest"


def test_a_ratio_of_one_keeps_all_and_a_smaller_one_never_adds(database):
    query, base = database
    found = []
    for ratio in (1.0, 0.9, 0.6, 0.3):
        searcher = Searcher(base, config=SearchConfig(ratio=ratio, one_to_one=False))
        pairs = searcher.pair_features(searcher.find_neighbors(query))
        found.append(set(zip(pairs.features.tolist(), pairs.rows.tolist(), strict=True)))
    assert all(less <= more for more, less in pairwise(found))
    assert len(found[0]) > len(found[-1])


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.5])
def test_ratios_have_a_range(ratio):
    with pytest.raises(ValueError, match="expected over 0, and at most 1"):
        SearchConfig(ratio=ratio)


# --- the homography as the model


def test_the_model_may_be_a_homography(database):
    query, base = database
    config = SearchConfig(ransac=RansacConfig(model="homography"))
    answer = Searcher(base, config=config)(query)
    assert answer.ranking.images[0] == 3
    assert answer.ranking.inliers[0] == 60
    np.testing.assert_allclose(answer.ranking.affines[0], AFFINE, atol=0.2)
    assert answer.verifications[3].homography.shape == (3, 3)


# --- more photos, and fewer


class Growing(ExactIndex):
    """An exact index that is built anew as it grows."""

    def add(self, rows):
        super().__init__(np.concatenate([self.descriptors, rows]))


def test_photos_added_are_found_as_if_they_had_been_there(database):
    query, base = database
    photos = list(zip(base.names, map(base.photo, range(len(base))), strict=True))
    first = Database.from_features(*zip(*photos[:3], strict=True))
    searcher = Searcher(first, Growing(first.descriptors))
    for part in (photos[3:8], photos[8:]):
        searcher.add(*zip(*part, strict=True))
    for name in ("names", "photo_indices", "descriptors", "positions"):
        np.testing.assert_array_equal(getattr(searcher.database, name), getattr(base, name))
    grown, whole = searcher(query).ranking, Searcher(base)(query).ranking
    for name in ("images", "inliers", "votes", "affines"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(whole, name))


def test_the_last_photo_added_is_found():
    query, base = place(5), Database.from_features(["a", "b"], [place(1), place(2)])
    searcher = Searcher(base, Growing(base.descriptors))
    searcher.add(["last"], [view(query, 1)])
    assert searcher(query).ranking.images[0] == 2


def test_a_photo_is_not_added_twice(database):
    _, base = database
    with pytest.raises(ValueError, match="'photo3' is in the database already"):
        base.with_photos(["new", "photo3"], [place(1), place(2)])


def test_a_shortlist_is_ranked_as_a_database_of_its_own(database):
    query, base = database
    images = np.array([9, 1, 3, 5])
    answer = Searcher(base).search_subset(query, images)
    assert answer.ranking.images[:2].tolist() == [3, 9]
    assert set(answer.ranking.images.tolist()) <= {9, 1, 3, 5}
    assert answer.verifications[3].num_inliers == answer.ranking.inliers[0] == 60
    positions = base.features(3).positions
    assert {tuple(row) for row in answer.matches[3].database} <= {tuple(row) for row in positions}
