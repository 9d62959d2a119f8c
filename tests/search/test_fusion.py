"""Late fusion: its limits, ties, and the inliers and votes it keeps."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from delfjax.search.fusion import append_by_similarity, fuse, rank_by_similarity
from delfjax.search.searcher import SearchResult
from delfjax.types import Ranking

SIMILARITIES = np.array([0.9, 0.5, 0.7, 0.5, 0.1])


def local_result(images, inliers):
    """A result of local features with votes for these photos."""
    images, count = np.array(images), len(images)
    votes = np.arange(count) + 10
    ranking = Ranking(images=images, inliers=np.array(inliers), votes=votes)
    return SearchResult(ranking=ranking, matches={}, verifications={})


def test_a_worked_example():
    """Photos with 40, 10 and no inliers, at the weight of the authors."""
    found = fuse(local_result([2, 3], [40, 10]), SIMILARITIES, features=50, weight=0.25).ranking
    expected = 0.25 * np.array([0, 0, 0.8, 0.2, 0]) + 0.75 * SIMILARITIES
    np.testing.assert_allclose(found.scores, np.sort(expected)[::-1])
    assert found.images.tolist() == [2, 0, 3, 1, 4]


def test_scores_of_two_queries_can_be_compared():
    """A query without the landmark has lower scores than one with it, for the same ranking."""
    found = fuse(local_result([2, 3], [40, 10]), SIMILARITIES, features=50).ranking
    without = fuse(local_result([2, 3], [4, 1]), SIMILARITIES / 3, features=50).ranking
    assert found.images[0] == without.images[0]
    assert without.scores.max() < found.scores.max() / 2


def test_weight_0_ranks_by_similarity_and_1_by_inliers():
    local = local_result([4, 1], [30, 3])
    for weight, images in ((0.0, [0, 2, 1, 3, 4]), (1.0, [4, 1, 0, 2, 3])):
        found = fuse(local, SIMILARITIES, features=50, weight=weight)
        assert found.ranking.images.tolist() == images


def test_equal_similarities_are_ranked_by_index():
    ranking = rank_by_similarity(SIMILARITIES).ranking
    assert ranking.images.tolist() == [0, 2, 1, 3, 4]
    np.testing.assert_array_equal(ranking.scores, SIMILARITIES[ranking.images])
    assert (ranking.inliers == -1).all()


def test_late_fusion_uses_the_inliers_of_a_ranking_with_scores():
    local = local_result([3, 2], [10, 40])
    scored = replace(local, ranking=replace(local.ranking, scores=np.array([60.5, 50.0])))
    found = fuse(scored, SIMILARITIES, features=50, weight=1.0)
    assert found.ranking.images.tolist()[:2] == [2, 3]


def test_appended_photos_have_the_score_minus_1():
    local = local_result([2, 3], [40, 10])
    scored = replace(local, ranking=replace(local.ranking, scores=np.array([60.5, 50.0])))
    ranking = append_by_similarity(scored, SIMILARITIES).ranking
    assert ranking.images.tolist() == [2, 3, 0, 1, 4]
    assert ranking.scores.tolist() == [60.5, 50.0, -1, -1, -1]


@pytest.mark.parametrize("combine", [partial(fuse, features=50), append_by_similarity])
def test_inliers_and_votes_stay_with_their_photo(combine):
    ranking = combine(local_result([3, 0], [8, 5]), SIMILARITIES).ranking
    by_photo = dict(zip(ranking.images.tolist(), ranking.inliers.tolist(), strict=True))
    assert by_photo == {0: 5, 1: -1, 2: -1, 3: 8, 4: -1}
    assert ranking.votes[ranking.images.tolist().index(0)] == 11


def test_photos_outside_the_shortlist_follow_by_similarity():
    ranking = append_by_similarity(local_result([3, 4], [8, 5]), SIMILARITIES).ranking
    assert ranking.images.tolist() == [3, 4, 0, 2, 1]
    assert ranking.scores is None


def test_a_query_without_results_is_ranked_by_similarity():
    nothing = local_result([1], [1])
    empty = Ranking(**{k: v[:0] for k, v in vars(nothing.ranking).items() if v is not None})
    none = SearchResult(ranking=empty, matches={}, verifications={})
    assert fuse(none, SIMILARITIES, features=0).ranking.images.tolist() == [0, 2, 1, 3, 4]
