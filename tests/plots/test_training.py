"""Figures of training: what is drawn, in numbers."""

import numpy as np
import pytest

from delfjax.plots import training

LOG = [
    {"step": 10, "loss": 2.0, "rate": 0.1, "gradient_norm": 3.0, "attention_accuracy": 0.1},
    {"step": 20, "loss": 1.0, "rate": 0.2, "gradient_norm": 2.0, "attention_accuracy": 0.5},
    {"step": 20, "validation_loss": 1.5, "validation_attention_accuracy": 0.4},
]


def test_curves_show_every_record_and_the_blind_guess():
    loss, accuracy, rate, gradient = training.curves({"run": LOG}, classes=10).axes
    lines = [line.get_xydata().tolist() for line in loss.lines]
    assert lines[:2] == [[[10, 2.0], [20, 1.0]], [[20, 1.5]]]
    assert loss.lines[-1].get_ydata()[0] == pytest.approx(np.log(10))
    assert accuracy.lines[0].get_xydata().tolist() == [[20, 0.4]]
    assert rate.lines[0].get_ydata().tolist() == [0.1, 0.2]
    assert gradient.get_yscale() == "log"
