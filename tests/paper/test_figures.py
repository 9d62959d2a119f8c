"""Fig. 5: what is drawn, in numbers."""

from itertools import combinations

import numpy as np
import pytest

from delfjax.evaluation.precision_recall import Pooled
from delfjax.paper import values
from delfjax.paper.figures import LINES, fig5

PAPER = values.fig5()
SAVED = {"curve": {"recalls": [1, 10, 100], "precisions": [100.0, 80.0, 25.0]}}
POOLED = Pooled(
    scores=np.array([12, 5, 9, 8, 7, 3]),
    correct=np.array([True, False, True, True, False, False]),
    queries=np.array([0, 0, 1, 1, 2, 3]),
)


def lines(figure):
    return [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]


def test_pooled_results_and_saved_curves_are_drawn():
    one, other = lines(fig5({"DELF+FT+ATT": POOLED, "DELF-noFT": SAVED}))
    assert one.get_xdata().tolist() == [1, 2, 3]
    assert one.get_ydata().tolist() == [1, 1, 1]
    assert other.get_ydata().tolist() == [1, 0.8, 0.25]


def test_the_papers_curves_are_pale_and_say_that_they_are_digitised():
    figure = fig5({"DELF+FT": SAVED}, PAPER, where="rendered")
    ours, *theirs = lines(figure)
    assert [line.get_label() for line in theirs] == list(PAPER.curves)
    for line in theirs:
        np.testing.assert_array_equal(line.get_ydata(), PAPER.curves[line.get_label()].precision)
        assert line.get_alpha() < 0.5
        assert line.get_zorder() < ours.get_zorder()
    said = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    for words in ("rendered", "digitised from the figure", "0.03", "Google-Landmarks"):
        assert words in said


def test_a_method_looks_the_same_here_and_in_the_paper():
    ours, *theirs = lines(fig5({"DIR": SAVED}, PAPER))
    (same,) = [line for line in theirs if line.get_label() == "DIR"]
    assert (ours.get_color(), ours.get_linestyle()) == (same.get_color(), same.get_linestyle())


def test_no_two_methods_need_color_to_be_told():
    assert {*PAPER.curves} < {*LINES}
    assert LINES["RootSIFT"] == LINES["CONGAS"], "which it stands for"
    for one, other in combinations(PAPER.curves, 2):
        assert LINES[one][1:] != LINES[other][1:] or LINES[one] == LINES[other]


def test_the_axis_is_the_papers():
    ax = fig5({"DIR": SAVED}).axes[0]
    assert (ax.get_xscale(), ax.get_xlim()) == ("log", (10, 1000))


@pytest.mark.parametrize("count", [1, 4])
def test_runs_of_other_names_are_drawn_too(count):
    names = [f"run {number}" for number in range(count)]
    assert [line.get_label() for line in lines(fig5(dict.fromkeys(names, SAVED)))] == names
