"""Matching two photos: mutual neighbors, the ratio test, reduction of descriptors, and RANSAC."""

import numpy as np
import pytest
from places import AFFINE, directions, features, place, view

from delfjax.features.pca import PCA, l2_normalize
from delfjax.search.matching import match


def test_two_views_of_a_place_match():
    query = place(5)
    pair = match(query, view(query, 1))
    assert len(pair.matches) == pair.num_inliers == pair.inliers.sum() == 60
    np.testing.assert_allclose(pair.affine, AFFINE, atol=0.05)


def test_unrelated_photos_do_not_match():
    pair = match(place(5), place(6), max_distance=0.3)
    assert len(pair.matches) == pair.num_inliers == 0
    assert np.isnan(pair.affine).all()


def test_matches_are_mutual():
    """If two features of one photo share a nearest neighbor, only the nearer one matches it."""
    one, two = place(5), place(6)
    crowd = features(
        np.r_[one.positions, one.positions[:20]],
        np.r_[one.descriptors, one.descriptors[:20] + 0.05 * two.descriptors[:20]],
    )
    forth = match(crowd, view(one, 1)).matches
    back = match(view(one, 1), crowd).matches
    assert len(forth) == 60
    np.testing.assert_array_equal(np.sort(back.database, 0), np.sort(forth.query, 0))


@pytest.mark.parametrize("empty", [0, 1])
def test_a_photo_without_features_matches_nothing(empty):
    photos = [place(5), place(6)]
    photos[empty] = photos[empty][:0]
    pair = match(*photos)
    assert len(pair.matches) == pair.num_inliers == 0


def test_the_ratio_test_drops_repeated_features():
    one = place(5)
    other = view(one, 1)
    repeated = features(
        np.r_[other.positions, other.positions[:10] + 30],
        np.r_[other.descriptors, other.descriptors[:10]],
    )
    matches = match(one, repeated, ratio=0.8).matches
    assert sorted(map(tuple, matches.query)) == sorted(map(tuple, one.positions[10:]))
    assert len(match(one, repeated).matches) == 60
    assert len(match(one, other[:1], ratio=0.8).matches) == 1, "no second feature to compare with"


# --- reduction of descriptors


def unreduced(photo, seed=0):
    """The same photo with descriptors of 64 dimensions, rotated out of 40."""
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(64, 40)))[0]
    return photo.with_descriptors(np.float32(3 * photo.descriptors @ rotation.T))


def same(found, expected):
    np.testing.assert_array_equal(found.matches.query, expected.matches.query)
    np.testing.assert_array_equal(found.matches.distances, expected.matches.distances)
    np.testing.assert_array_equal(found.inliers, expected.inliers)


@pytest.mark.parametrize("count", [20, 60])
def test_large_descriptors_are_reduced_by_a_pca_of_the_two_photos(count):
    a, b = (unreduced(each)[:count] for each in (place(5), view(place(5), 1)))
    pca = PCA.fit(np.concatenate([a.descriptors, b.descriptors]))
    reduced = [each.with_descriptors(pca(each.descriptors)) for each in (a, b)]
    same(match(a, b), match(*reduced))
    assert match(a, b).num_inliers == count


def test_descriptors_of_fewer_than_40_features_are_only_normalized():
    a, b = unreduced(place(5))[:20], unreduced(view(place(5), 1))[:19]
    expected = np.linalg.norm(
        l2_normalize(a.descriptors)[:19] - l2_normalize(b.descriptors), axis=1
    )
    np.testing.assert_allclose(match(a, b).matches.distances, expected, rtol=1e-3)


def test_a_given_pca_reduces_descriptors_of_its_input_size_only():
    a, b = unreduced(place(5)), unreduced(view(place(5), 1))
    pca = PCA.fit(directions(100, 0) @ np.eye(40, 64), dimensions=16)
    reduced = [each.with_descriptors(pca(each.descriptors)) for each in (a, b)]
    same(match(a, b, pca=pca), match(*reduced))
    same(match(*reduced, pca=pca), match(*reduced))
    with pytest.raises(ValueError, match=r"have 40 dimensions; expected 64 or 16, .*Fix:"):
        match(place(5), place(6), pca=pca)


def test_photos_of_two_models_are_an_error():
    with pytest.raises(ValueError, match=r"have 64 and 40 dimensions.*extract both photos"):
        match(unreduced(place(5)), place(6))
