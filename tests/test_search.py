"""Votes, pairing, verification and ranking on a database whose answers are known."""

import numpy as np
import pytest

from delfjax.axes import Features
from delfjax.geometry import RansacConfig
from delfjax.index import ExactIndex
from delfjax.search import Database, SearchConfig, Searcher, match

AFFINE = np.array([[0.8, 0.1, 30.0], [-0.1, 0.9, 12.0]])


def features(positions, descriptors):
    count = len(positions)
    return Features(
        positions=np.float32(positions),
        scales=np.ones(count, np.float32),
        scores=np.ones(count, np.float32),
        descriptors=np.float32(descriptors),
        image_size=(480, 640),
    )


def directions(count, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, 40))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def place(seed, count=60):
    """A photo of a place of its own: random positions and descriptors."""
    positions = np.random.default_rng(seed).uniform(0, 450, (count, 2))
    return features(positions, directions(count, 1000 + seed))


def view(photo, seed, *, geometry=True, share=1.0):
    """The same descriptors, a little off, seen through the affine map, or scattered."""
    random = np.random.default_rng(seed)
    keep = slice(round(share * len(photo)))
    moved = photo.positions @ AFFINE[:, :2].T + AFFINE[:, 2]
    positions = moved if geometry else random.uniform(0, 450, photo.positions.shape)
    noisy = photo.descriptors + 0.02 * random.normal(size=photo.descriptors.shape)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    return features(positions, noisy)[keep]


@pytest.fixture
def database():
    """Photo 3 is the query's place; 7 has its descriptors at random positions; 9 half of them."""
    photos = [place(seed) for seed in range(12)]
    query = place(99)
    photos[3] = view(query, 1)
    photos[7] = view(query, 2, geometry=False)
    photos[9] = view(query, 3, share=0.5)
    return query, Database([f"photo{n}" for n in range(12)], photos)


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
    config = SearchConfig(neighbours=3, max_distance=0.5)
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
    ranking = Searcher(base, config=SearchConfig(neighbours=3, verified=1))(query).ranking
    assert (ranking.inliers[1:] == -1).all()
    assert np.isnan(ranking.affines[1:]).all()
    assert (np.diff(ranking.votes[1:]) <= 0).all()


def test_ties_go_by_number():
    """Two copies of one photo score the same: the lower number comes first, always."""
    query = place(5)
    base = Database(["a", "b", "c"], [place(1), view(query, 1), view(query, 1)])
    ranking = Searcher(base)(query).ranking
    assert ranking.inliers[0] == ranking.inliers[1]
    assert ranking.images[:2].tolist() == [1, 2]


def test_the_last_photo_is_found():
    query = place(5)
    base = Database(["a", "b", "last"], [place(1), place(2), view(query, 1)])
    assert Searcher(base)(query).ranking.images[0] == 2


def test_same_seed_same_ranking(database):
    query, base = database
    config = SearchConfig(ransac=RansacConfig(seed=3))
    first, again = (Searcher(base, config=config)(query).ranking for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.inliers, again.inliers)


def literal_pairs(base, neighbours, config):
    """The rule of pairing, feature by feature and photo by photo."""
    rows, distances = neighbours
    found = {}
    for feature, (near, far) in enumerate(zip(rows, distances, strict=True)):
        for row, distance in zip(near, far, strict=True):
            key = (base.owners[row], feature)
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
    config = SearchConfig(neighbours=20, max_distance=max_distance, one_to_one=one_to_one)
    searcher = Searcher(base, ExactIndex(base.descriptors), config)
    neighbours = searcher.neighbours(query)
    pairs = searcher.pair(neighbours)
    ours = set(
        zip(pairs.images.tolist(), pairs.features.tolist(), pairs.rows.tolist(), strict=True)
    )
    assert ours == literal_pairs(base, neighbours, config)
    assert (np.diff(pairs.images) >= 0).all()


def test_match_two_photos():
    query = place(5)
    putative, verification = match(query, view(query, 1))
    assert len(putative) == verification.count == 60


def test_match_of_strangers_finds_nothing():
    putative, verification = match(place(5), place(6), max_distance=0.3)
    assert len(putative) == verification.count == 0


def test_matches_are_mutual():
    """Two query features nearest to one: only the nearer of them has it, whichever comes first."""
    one, two = place(5), place(6)
    crowd = features(
        np.r_[one.positions, one.positions[:20]],
        np.r_[one.descriptors, one.descriptors[:20] + 0.05 * two.descriptors[:20]],
    )
    putative, _ = match(crowd, view(one, 1))
    assert len(putative) == 60
    there, _ = match(view(one, 1), crowd)
    np.testing.assert_array_equal(np.sort(there.database, 0), np.sort(putative.query, 0))


@pytest.mark.parametrize("empty", [0, 1])
def test_a_photo_without_features_matches_nothing(empty):
    pair = [place(5), place(6)]
    pair[empty] = pair[empty][:0]
    putative, verification = match(*pair)
    assert len(putative) == verification.count == 0


def test_names_and_features_must_agree():
    with pytest.raises(ValueError, match="2 names for 1 photos"):
        Database(["a", "b"], [place(1)])
