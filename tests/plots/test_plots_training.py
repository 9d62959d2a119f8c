"""Tests of training curves."""

import numpy as np
import pytest

from delfjax import plots

LOG = [
    {"step": 10, "loss": 2.0, "learning_rate": 0.1, "gradient_norm": 3.0}
    | {"attention_accuracy": 0.1},
    {"step": 20, "loss": 1.0, "learning_rate": 0.2, "gradient_norm": 2.0}
    | {"attention_accuracy": 0.5},
    {"step": 20, "validation_loss": 1.5, "validation_attention_accuracy": 0.4},
]


def test_curves_show_all_records_and_the_random_guess():
    figure = plots.training_curves({"run": LOG}, classes=10)
    loss, accuracy, learning_rate, gradient = figure.axes
    lines = [line.get_xydata().tolist() for line in loss.lines]
    assert lines[:2] == [[[10, 2.0], [20, 1.0]], [[20, 1.5]]]
    assert loss.lines[-1].get_ydata()[0] == pytest.approx(np.log(10))
    assert accuracy.lines[0].get_xydata().tolist() == [[20, 0.4]]
    assert learning_rate.lines[0].get_ydata().tolist() == [0.1, 0.2]
    assert gradient.get_yscale() == "log"


def test_a_run_without_records_has_no_curves():
    figure = plots.training_curves({"run": []})
    assert not any(ax.lines for ax in figure.axes)
