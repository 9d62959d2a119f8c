"""What is drawn of sweeps and of landmarks, in numbers."""

import numpy as np
import pytest

from delfjax.paper.figures import landmarks, sweeps


def result(value):
    return {"value": value, "interval": [value - 5, value + 4]}


def test_a_sweep_is_drawn_in_order_with_its_interval():
    found = {"features": {50: result(70.0), 20: result(60.0)}, "dimensions": {8: result(50.0)}}
    left, right = sweeps(found).axes
    (line,) = left.lines
    assert line.get_xdata().tolist() == [20, 50]
    assert line.get_ydata().tolist() == [60, 70]
    edges = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (55, 74)
    assert (left.get_xlabel(), right.get_xlabel()) == ("features", "dimensions")


def test_numbers_far_apart_stand_on_a_logarithmic_axis():
    found = {
        "bits": {20: result(1.0), 640: result(2.0)},
        "%": {61.5: result(1.0), 100: result(2.0)},
    }
    bits, recall = sweeps(found).axes
    assert (bits.get_xscale(), recall.get_xscale()) == ("log", "linear")
    assert [text.get_text() for text in bits.get_xticklabels()] == ["20", "640"]


@pytest.mark.parametrize("found", [{}, {"bits": {}}])
def test_without_results_nothing_is_drawn(found):
    with pytest.raises(ValueError, match="run them first"):
        sweeps(found)


def test_a_landmark_is_a_point():
    on = {"by_landmark": {"a": 20.0, "b": 60.0}, "average_precision": {"b": 90.0, "a": 40.0}}
    figure = landmarks({"norm": {"on_landmark": on}, "attention": {"on_landmark": on}})
    one, other = figure.axes[0].collections
    np.testing.assert_array_equal(one.get_offsets(), [[60, 90], [20, 40]])
    assert [one.get_label(), other.get_label()] == ["norm", "attention"]
