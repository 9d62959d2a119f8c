"""The core of the retrieval explorer: one query, asked again with other settings; and its pictures."""

from dataclasses import replace

import numpy as np
import pytest
from places import place, view

from delfjax.datasets.truth import Truth, relevance
from delfjax.features.database import Database
from delfjax.geometry.ransac import RansacConfig
from delfjax.images.reading import Box
from delfjax.plots.match_images import GAP, PAIR_WIDTH, QUERY_SIZE, PAIR_MAX_HEIGHT, pair_image, query_image
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.types import Matches
from delfjax.widgets import retrieval_captions
from delfjax.widgets.retrieval_state import ask, average_precision

CONFIG = SearchConfig(neighbors=12, ransac=RansacConfig(hypotheses=256))
COUNT = 8
BOX = Box(50.0, 80.0, 300.0, 330.0)


@pytest.fixture(scope="module")
def searcher():
    """Photos 0, 2, 4, 6 are views of places 0 to 3; of 1, 3, 5, 7 the geometry is wrong."""
    photos = [view(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(COUNT)]
    return Searcher(Database.from_features([f"photo_{n}" for n in range(COUNT)], photos), config=CONFIG)


def same(answer, other):
    for part in ("images", "inliers", "votes", "affines"):
        np.testing.assert_array_equal(getattr(answer.ranking, part), getattr(other.ranking, part))
    assert answer.matches.keys() == other.matches.keys()
    for image in answer.matches:
        inliers = (each.verifications[image].inliers for each in (answer, other))
        np.testing.assert_array_equal(*inliers)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"neighbors": 3},
        {"neighbors": 1, "max_distance": 0.3},
        {"max_distance": 0.2, "one_to_one": False},
        {"ratio": 0.8},
        {"verified": 1},
        {"verified": 0},
    ],
)
def test_answers_are_the_searchers(searcher, changes):
    config = replace(CONFIG, **changes)
    query = place(1)
    inquiry = ask(searcher, query, most=20)
    own = Searcher(searcher.database, searcher.index, config)
    same(inquiry.answer(config), own(query))
    same(inquiry.answer(config), inquiry.answer(config))


def test_settings_leave_no_trace(searcher):
    inquiry = ask(searcher, place(1))
    before = inquiry.answer(CONFIG)
    inquiry.answer(replace(CONFIG, neighbors=2, verified=0))
    same(inquiry.answer(CONFIG), before)


def test_without_verification_votes_rank(searcher):
    ranking = ask(searcher, place(2)).answer(replace(CONFIG, verified=0)).ranking
    verified = ask(searcher, place(2)).answer(CONFIG).ranking
    assert (ranking.inliers == -1).all()
    assert np.isnan(ranking.affines).all()
    assert (np.diff(ranking.votes) <= 0).all()
    assert dict(zip(ranking.images, ranking.votes, strict=True)) == dict(
        zip(verified.images, verified.votes, strict=True)
    )
    assert verified.images[0] == 4


def test_a_region_is_the_part_of_the_query_in_it(searcher):
    query = place(1)
    inquiry = ask(searcher, query, BOX)
    part = query.inside(BOX)
    assert 0 < len(part) < len(query)
    np.testing.assert_array_equal(inquiry.query.positions, part.positions)
    same(inquiry.answer(CONFIG), searcher(part))


def test_an_empty_region_finds_nothing(searcher):
    answer = ask(searcher, place(1), Box(0.0, 0.0, 0.1, 0.1)).answer(CONFIG)
    assert len(answer.ranking) == 0
    assert average_precision(answer, Truth(np.array([2, 3]), np.array([], int))) == 0


def test_matches_are_those_that_were_verified_and_others_can_be_had(searcher):
    inquiry = ask(searcher, place(1))
    answer = inquiry.answer(CONFIG)
    for image, found in answer.matches.items():
        again = inquiry.matches(image, CONFIG)
        np.testing.assert_array_equal(found.query, again.query)
        np.testing.assert_array_equal(found.database, again.database)
    unverified = inquiry.matches(2, replace(CONFIG, verified=0))
    assert len(unverified) == len(answer.matches[2])


def test_more_neighbors_than_were_found_cannot_be_asked_for(searcher):
    inquiry = ask(searcher, place(1), most=5)
    with pytest.raises(ValueError, match="12 neighbors asked for, 5 known: ask with most=12"):
        inquiry.answer(CONFIG)


def test_in_a_small_database_all_features_are_neighbors():
    searcher = Searcher(Database.from_features(["one"], [place(0, count=7)]), config=CONFIG)
    same(ask(searcher, place(0)).answer(CONFIG), searcher(place(0)))


def test_grades():
    truth = Truth(np.array([1, 2]), np.array([5]))
    assert [relevance(truth, image) for image in (1, 5, 0)] == ["correct", "junk", "wrong"]


# --- pictures


@pytest.mark.parametrize("size", [(48, 64), (64, 20), (900, 1300)])
def test_the_query_fits_its_room_and_what_is_outside_of_a_box_is_dimmed(size):
    photo, features = np.full((*size, 3), 200, np.uint8), place(1)  # of 480 x 640
    shown = query_image(photo, features)
    assert shown.shape[0] == QUERY_SIZE[0] or shown.shape[1] == QUERY_SIZE[1]
    bare = query_image(photo, features[:0], BOX)
    scale = np.array(bare.shape[:2]) / features.image_size
    y, x = np.nonzero((bare == 200).all(-1))
    corners = np.array([y.min(), x.min(), y.max() + 1, x.max() + 1])
    np.testing.assert_allclose(corners, np.array(BOX) * np.tile(scale, 2), atol=1)
    assert (bare[0, 0] < 120).all()


def test_only_the_features_in_the_box_have_dots():
    photo = np.full((560, 746, 3), 200, np.uint8)
    features = place(1)
    outside = features[~np.isin(features.positions, features.inside(BOX).positions).all(1)]
    dotted = query_image(photo, outside, BOX)
    np.testing.assert_array_equal(dotted, query_image(photo, outside[:0], BOX))
    assert not np.array_equal(dotted, query_image(photo, features, BOX))


def line(start, end):
    ends = (np.float32([each]) for each in (start, end))
    return Matches(query=next(ends), database=next(ends), distances=np.zeros(1, np.float32))


@pytest.mark.parametrize("scale", [1, 2])
def test_a_match_is_drawn_from_its_place_to_its_place(scale):
    """Whatever the size at which the photos were loaded."""
    sizes = (300, 400), (300, 200)
    photos = tuple(np.zeros((h * scale, w * scale, 3), np.uint8) for h, w in sizes)
    shown = pair_image(photos, sizes, line((30, 50), (250, 150)), np.array([True]))
    factor = shown.shape[0] / 300
    assert shown.shape[1] == pytest.approx(600 * factor + GAP, abs=1)
    bright = (shown[:, :, 0] > 200) & (shown[:, :, 2] < 100)
    y, x = np.nonzero(bright)
    start, end = np.array([30.5, 50.5]) * factor, np.array([250.5, 150.5 + 400]) * factor
    np.testing.assert_allclose((y.min(), x.min()), start - 0.5, atol=6)
    np.testing.assert_allclose((y.max(), x.max()), end - 0.5 + [0, GAP], atol=6)


def test_other_matches_are_fainter_and_a_pair_is_never_too_tall():
    sizes, black = ((400, 100), (400, 100)), np.zeros((400, 100, 3), np.uint8)
    inlier, other = (
        pair_image((black, black), sizes, line((30, 50), (250, 50)), inliers)
        for inliers in (np.array([True]), None)
    )
    assert inlier.shape[0] == PAIR_MAX_HEIGHT
    assert inlier.shape[1] < PAIR_WIDTH
    left = slice(0, inlier.shape[1] // 2 - GAP)
    assert 60 < other[:, left].max() < inlier[:, left].max()


# --- words


def test_words_say_by_what_a_result_is_ranked(searcher):
    inquiry = ask(searcher, place(1))
    for verified, noun in ((100, "inlier"), (0, "vote")):
        ranking = inquiry.answer(replace(CONFIG, verified=verified)).ranking
        head, said = retrieval_captions.card(ranking, 0, "folder/photo_2.jpg", "correct")
        assert head == "1  photo_2"
        count = (ranking.inliers if verified else ranking.votes)[0]
        assert said == f"✓ right, {count} {noun}s"


def test_the_summary_counts_what_has_votes(searcher):
    ranking = ask(searcher, place(1)).answer(CONFIG).ranking
    said = retrieval_captions.summary(ranking, COUNT, 0.123, 0.5)
    assert f"{len(ranking)} of 8 photos have votes" in said
    assert f"{len(ranking)} verified" in said
    assert "answered in 123 ms" in said
    assert "average precision 50.0%" in said
    assert "compilation" in retrieval_captions.summary(ranking, COUNT, 3.0, None)
    assert "precision" not in retrieval_captions.summary(ranking, COUNT, 0.1, np.nan)
