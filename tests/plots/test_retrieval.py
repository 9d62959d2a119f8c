"""What is drawn of a ranking as it comes about, in numbers."""

import numpy as np
import pytest

from delfjax.datasets.truth import Truth
from delfjax.plots.base import Figure
from delfjax.plots.match_images import GRADE_MARKS
from delfjax.plots.retrieval import (
    ANGLES,
    bars,
    found_by_angle,
    inlier_counts,
    pages,
    query_card,
    recall_curves,
    result_cards,
    spectra,
    stacked,
)
from delfjax.types import Ranking

PHOTO = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
TRUTH = Truth(np.array([4]), np.array([2]))


def ranking(scores=None):
    return Ranking(
        images=np.array([4, 1, 2]),
        inliers=np.array([30, 9, -1]),
        votes=np.array([40, 41, 12]),
        affines=np.zeros((3, 2, 3), np.float32),
        scores=scores,
    )


def heights(ax):
    """Heights of the bars of an axis by the words of their legend."""
    return {bar.get_label(): [patch.get_height() for patch in bar] for bar in ax.containers}


def test_a_spectrum_ends_at_all_of_the_variance_and_says_what_is_kept():
    figure = spectra({"one": np.array([3.0, 1.0, 0.0]), "other": np.ones(4)}, kept=2)
    one, _, other, *_ = figure.axes[0].lines
    np.testing.assert_allclose(one.get_ydata(), [75, 100, 100])
    np.testing.assert_allclose(other.get_ydata(), [25, 50, 75, 100])
    assert one.get_label() == "one: 100 % by 2 axes"
    assert other.get_label() == "other: 50 % by 2 axes"


def test_recall_is_drawn_in_percent_against_time_that_grows_with_effort():
    figure = recall_curves({"K = 60": [(0.3, 0.25), (0.1, 0.5), (0.4, 1.0)]})
    line, exact = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[0.1, 25], [0.1, 50], [0.4, 100]])
    assert set(exact.get_xdata()) == {1}


def test_bars_stand_at_their_ranks_in_the_color_of_what_they_are():
    figure = bars({"votes": np.array([9, 7, 3])}, {"votes": ["correct", "junk", "correct"]})
    drawn = {bar.get_label(): bar for bar in figure.axes[0].containers}
    right = drawn["✓ right"]
    assert [patch.get_center()[0] for patch in right] == [1, 3]
    assert heights(figure.axes[0]) == {"✓ right": [9, 3], "○ junk, not counted": [7]}


def test_shares_of_inlier_counts_add_up_and_wrong_ones_hang_down():
    counts = {"correct": np.array([40, 42, 3]), "wrong": np.array([3, 4, 5, 6])}
    figure = inlier_counts(counts)
    up, down = heights(figure.axes[0]).values()
    assert sum(up) == pytest.approx(100)
    assert sum(down) == pytest.approx(-100)
    assert min(up) == 0
    label = figure.axes[0].containers[0].get_label()
    assert label == "✓ right: 3 results, median 40"


def test_shares_found_are_of_each_group_and_angle():
    angles = np.array([5.0, 10.0, 20.0, 170.0])
    found = np.array([True, False, True, False])
    figure = found_by_angle(angles, found, np.array(["day", "day", "day", "night"]))
    drawn = heights(figure.axes[0])
    assert drawn["day"] == [50, 100, 0, 0, 0, 0]
    assert drawn["night"] == [0] * (len(ANGLES) - 1)
    assert [text.get_text() for text in figure.axes[0].texts][:2] == ["of 2", "of 1"]


def test_cards_say_rank_grade_and_score():
    cards = result_cards(ranking(), TRUTH, lambda image: PHOTO, [0, 2, 1])
    assert [card.lines for card in cards] == [
        ("1 ✓ 30",),
        ("3 ○ (12)",),
        ("2 ✗ 9",),
    ]
    assert [card.color for card in cards] == [GRADE_MARKS[k][1] for k in ("correct", "junk", "wrong")]
    similar = ranking(scores=np.array([0.912, 0.5, 0.25]))
    assert result_cards(similar, TRUTH, lambda image: PHOTO, [0])[0].lines == ("1 ✓ 0.91",)


def test_cards_load_the_photo_of_their_number():
    asked = []
    result_cards(ranking(), TRUTH, lambda image: asked.append(image) or PHOTO, [0, 1])
    assert asked == [4, 1]


def test_pages_have_a_titled_row_for_each_ranking():
    row = [query_card(PHOTO, "query"), *result_cards(ranking(), TRUTH, lambda image: PHOTO, [0, 1])]
    figure = pages([("local", row), ("global", row)])
    assert isinstance(figure, Figure)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["local", "global"]
    assert figure._repr_jpeg_()


def test_pictures_are_stacked_in_reading_order():
    figure = stacked([(name, PHOTO) for name in "abc"], columns=2)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["a", "b", "c", ""]
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 0]
