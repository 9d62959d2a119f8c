"""Figures of the results: the data that they draw."""

from itertools import combinations

import numpy as np
import pytest

from delfjax.paper import values
from delfjax.paper.figures import LINES, fig5, sweeps

PAPER = values.fig5()
SAVED = {"curve": {"recalls": [1, 10, 100], "precisions": [100.0, 80.0, 25.0]}}


def lines(figure):
    return [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]


def test_saved_curves_are_drawn():
    (line,) = lines(fig5({"DELF-noFT": SAVED}))
    assert line.get_xdata().tolist() == [1, 10, 100]
    assert line.get_ydata().tolist() == [1, 0.8, 0.25]


def test_the_papers_curves_are_pale_and_marked_as_digitized():
    figure = fig5({"DELF+FT": SAVED}, PAPER, heading="rendered")
    ours, *theirs = lines(figure)
    assert [line.get_label() for line in theirs] == list(PAPER.curves)
    for line in theirs:
        np.testing.assert_array_equal(line.get_ydata(), PAPER.curves[line.get_label()][1])
        assert line.get_alpha() < 0.5
        assert line.get_zorder() < ours.get_zorder()
    legend = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    for words in ("rendered", "digitized from the figure", "0.03", "Google-Landmarks"):
        assert words in legend


def test_a_method_has_one_line_style():
    ours, *theirs = lines(fig5({"DIR": SAVED}, PAPER))
    (same,) = [line for line in theirs if line.get_label() == "DIR"]
    assert (ours.get_color(), ours.get_linestyle()) == (same.get_color(), same.get_linestyle())


def test_methods_differ_without_color():
    assert {*PAPER.curves} < {*LINES}
    assert LINES["RootSIFT"] == LINES["CONGAS"], "which it replaces"
    for one, other in combinations(PAPER.curves, 2):
        assert LINES[one][1:] != LINES[other][1:] or LINES[one] == LINES[other]


def test_the_axis_is_that_of_the_paper():
    ax = fig5({"DIR": SAVED}).axes[0]
    assert (ax.get_xscale(), ax.get_xlim()) == ("log", (10, 1000))


@pytest.mark.parametrize("count", [1, 4])
def test_runs_without_a_style_of_their_own_are_drawn(count):
    names = [f"run {number}" for number in range(count)]
    assert [line.get_label() for line in lines(fig5(dict.fromkeys(names, SAVED)))] == names


def result(value):
    return {"value": value, "interval": [value - 5, value + 4]}


def test_a_sweep_is_sorted_and_has_its_interval():
    found = {"features": {50: result(70.0), 20: result(60.0)}, "dimensions": {8: result(50.0)}}
    left, right = sweeps(found).axes
    (line,) = left.lines
    assert line.get_xdata().tolist() == [20, 50]
    assert line.get_ydata().tolist() == [60, 70]
    edges = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (55, 74)
    assert (left.get_xlabel(), right.get_xlabel()) == ("features", "dimensions")


def test_many_sweeps_are_drawn_in_rows_of_three():
    figure = sweeps({f"setting {number}": {1: result(1.0), 2: result(2.0)} for number in range(4)})
    assert [ax.get_xlabel() for ax in figure.axes] == [f"setting {number}" for number in range(4)]
    tops = [ax.get_position().y1 for ax in figure.axes]
    assert tops[0] == tops[1] == tops[2] > tops[3]


def test_a_wide_range_has_a_logarithmic_axis():
    found = {
        "bits": {20: result(1.0), 640: result(2.0)},
        "%": {61.5: result(1.0), 100: result(2.0)},
    }
    bits, recall = sweeps(found).axes
    assert (bits.get_xscale(), recall.get_xscale()) == ("log", "linear")
    assert [text.get_text() for text in bits.get_xticklabels()] == ["20", "640"]
