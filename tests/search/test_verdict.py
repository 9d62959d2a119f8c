"""The verdict of two photos: monotonic, never sure of random matches, and right for sample photos."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import place, view
from sklearn.datasets import load_sample_image

import delfjax as dx
from delfjax.features.database import Database
from delfjax.features.extraction import Extractor
from delfjax.geometry.ransac import RansacConfig, Verification, verify
from delfjax.search import verdict
from delfjax.search.verdict import Verdict, evidence, judge, probability_of
from delfjax.types import Matches

RESULT = Path(__file__).parents[2] / "data" / "results" / "bench_verdict.json"
LEVELS = 2.0 ** (np.arange(-4, 3) / 2)
AFFINE = np.array([[0.9, -0.2, 40.0], [0.1, 1.1, -20.0]], np.float32)


def random_matches(random, count, size=(768, 1024)):
    """Return matches of random positions and scales."""
    query, database = random.uniform(0, size, (2, count, 2)).astype(np.float32)
    scales = random.choice(LEVELS, (count, 2)).astype(np.float32)
    return Matches(
        query=query, database=database, distances=np.zeros(count, np.float32), scales=scales
    )


def with_inliers(random, outliers, inliers, *, area=(768, 1024)):
    """Return random matches, followed by matches that follow `AFFINE`, and their verification."""
    matches = random_matches(random, outliers + inliers)
    same = slice(outliers, None)
    matches.query[same] = random.uniform(0, area, (inliers, 2))
    matches.database[same] = matches.query[same] @ AFFINE[:, :2].T + AFFINE[:, 2]
    matches.scales[same, 1] = matches.scales[same, 0]
    return matches, Verification(affine=AFFINE, inliers=np.arange(len(matches)) >= outliers)


def first(matches, found, count):
    """Return the first matches and their verification."""
    arrays = {
        n: values if values is None else values[:count] for n, values in vars(matches).items()
    }
    return Matches(**arrays), Verification(affine=found.affine, inliers=found.inliers[:count])


@given(st.tuples(st.floats(1, 500), st.floats(1e-3, 1), st.floats(1e-3, 1e3)), st.integers(0, 2))
def test_more_evidence_never_lowers_the_probability(numbers, which):
    more = [number * (1 + (place == which)) for place, number in enumerate(numbers)]
    assert 0 <= probability_of(*numbers) <= probability_of(*more) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_more_inliers_of_one_map_never_lower_the_probability(seed):
    matches, found = with_inliers(np.random.default_rng(seed), outliers=90, inliers=200)
    numbers = [judge(*first(matches, found, count)).probability for count in range(94, 290, 7)]
    # Chance is estimated from a sample of the matches, which is another one for each number.
    assert (np.diff(numbers) > -0.02).all()
    assert numbers[0] < 0.05
    assert numbers[-1] > 0.95


def test_inliers_in_one_part_of_a_photo_count_little():
    """A hundred neighboring cells see almost the same pixels, so they agree together."""
    random = np.random.default_rng(0)
    spread, small = (
        judge(*with_inliers(random, 100, 100, area=area)) for area in ((768, 1024), (60, 60))
    )
    assert spread.label == "same place"
    assert small.label != "same place"


def test_random_matches_are_never_the_same_place():
    random = np.random.default_rng(0)
    candidates = [random_matches(random, int(random.integers(3, 65))) for _ in range(600)]
    candidates += [random_matches(random, int(random.integers(65, 600))) for _ in range(40)]
    labels = [judge(*each).label for each in zip(candidates, verify(candidates), strict=True)]
    assert labels.count("same place") == 0


def test_the_expectation_is_that_of_a_random_assignment():
    """Compare with the mean number of inliers over many random permutations."""
    random = np.random.default_rng(3)
    matches, found = with_inliers(random, outliers=30, inliers=30, area=(100, 100))
    cells, share, enrichment = evidence(matches, found, RansacConfig())
    counts = []
    for _ in range(3000):
        rows = random.permutation(60)
        mapped = matches.query @ AFFINE[:, :2].T + AFFINE[:, 2]
        near = np.linalg.norm(mapped - matches.database[rows], axis=1)
        zoom = np.sqrt(np.linalg.det(AFFINE[:, :2]))
        scales = matches.scales[rows, 1]
        wrong = np.abs(np.log2(zoom * scales / matches.scales[:, 0])) > 1
        counts.append(((near <= 20 / scales) & ~wrong & (rows != np.arange(60))).sum())
    # A random permutation leaves a match as it is with a probability of 1/60.
    assert (30 - verdict.FREE) / enrichment == pytest.approx(np.mean(counts) * 60 / 59, rel=0.1)
    assert 4 <= cells <= 20
    assert cells / 50 < share <= 1


@pytest.mark.parametrize("scales", [None, np.ones((3, 2), np.float32)], ids=["unknown", "known"])
def test_too_few_matches_are_no_evidence(scales):
    points = np.float32([[0, 0], [0, 9], [9, 0]])
    matches = Matches(
        query=points, database=points, distances=np.zeros(3, np.float32), scales=scales
    )
    for few in (
        matches,
        first(matches, Verification(affine=AFFINE, inliers=np.ones(3, bool)), 0)[0],
    ):
        (found,) = verify([few])
        assert judge(few, found) == Verdict(label="different", probability=0.0)


def test_the_rule_without_scales_has_its_own_expectation():
    """A map that shrinks to a fifth is refused with scales that say otherwise, and not without."""
    random = np.random.default_rng(0)
    matches, _ = with_inliers(random, 200, 0)
    found = Verification(affine=AFFINE / 5, inliers=np.arange(200) < 50)
    aware, plain = (
        evidence(matches, found, RansacConfig(scale_aware=aware, residual=100))[2]
        for aware in (True, False)
    )
    assert aware > plain


def test_a_search_and_a_match_return_verdicts():
    photos = [place(1), place(2), place(3)]
    searcher = dx.Searcher(Database.from_features(["a", "b", "c"], photos), "exact")
    result = searcher(view(photos[1], 0))
    assert result.verdicts.keys() == result.verifications.keys()
    best = max(result.verdicts, key=lambda image: result.verdicts[image].probability)
    assert searcher.database.names[best] == "b"
    subset = searcher.search_subset(view(photos[1], 0), np.array([1, 2]))
    assert subset.verdicts.keys() == subset.verifications.keys() <= {1, 2}
    pair = dx.match(photos[1], view(photos[1], 0))
    assert pair.verdict == judge(pair.matches, pair)


@pytest.mark.parametrize(
    ("label", "probability", "text"),
    [
        ("same place", 0.9999, "same place (99%)"),
        ("unsure", 0.4, "unsure (40%)"),
        ("unsure", 0.949, "unsure (94%)"),
        ("unsure", 0.301, "unsure (31%)"),
        ("same place", 0.95, "same place (95%)"),
        ("different", 0.3, "different place or view (70%)"),
        ("different", 0.0, "different place or view (99%)"),
    ],
)
def test_text(label, probability, text):
    assert Verdict(label=label, probability=probability).text == text


@pytest.mark.weights
def test_two_views_of_a_sample_photo_are_the_same_place(imagenet):
    config = dx.ExtractionConfig(pyramid=dx.PyramidConfig(longest=320))
    model = Extractor(imagenet(), config=config)
    temple = load_sample_image("china.jpg")
    one, other, flower = map(model, (temple, temple[12:, 16:], load_sample_image("flower.jpg")))
    assert dx.match(one, other).verdict.label == "same place"
    assert dx.match(one, flower).verdict.label != "same place"


def test_constants_are_those_of_the_committed_study():
    """The study fits them; `python -m benchmarks verdict` repeats it."""
    fitted = json.loads(RESULT.read_text())["fitted"]
    names = ("intercept", "cells", "share", "enrichment")
    assert [verdict.INTERCEPT, *verdict.WEIGHTS] == [round(fitted[name], 2) for name in names]
