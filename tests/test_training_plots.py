"""Figures of training and attention: what is drawn, in numbers."""

import numpy as np
import pytest
from worlds import draw

from delfjax import training_plots

LOG = [
    {"step": 10, "loss": 2.0, "rate": 0.1, "gradient_norm": 3.0, "attention_accuracy": 0.1},
    {"step": 20, "loss": 1.0, "rate": 0.2, "gradient_norm": 2.0, "attention_accuracy": 0.5},
    {"step": 20, "validation_loss": 1.5, "validation_attention_accuracy": 0.4},
]


def test_curves_show_every_record_and_the_blind_guess():
    loss, accuracy, rate, gradient = training_plots.curves({"run": LOG}, classes=10).axes
    lines = [line.get_xydata().tolist() for line in loss.lines]
    assert lines[:2] == [[[10, 2.0], [20, 1.0]], [[20, 1.5]]]
    assert loss.lines[-1].get_ydata()[0] == pytest.approx(np.log(10))
    assert accuracy.lines[0].get_xydata().tolist() == [[20, 0.4]]
    assert rate.lines[0].get_ydata().tolist() == [0.1, 0.2]
    assert gradient.get_yscale() == "log"


def test_a_grid_of_heat_has_a_row_a_photo_and_a_column_a_map():
    photo = draw(0)
    maps = {"norm": np.ones(photo.shape[:2]), "attention": np.eye(*photo.shape[:2])}
    figure = training_plots.heat_grid([(photo, maps)] * 2)
    shown = [ax for ax in figure.axes if ax.images]
    assert [len(ax.images) for ax in shown[:6]] == [1, 2, 2] * 2
    assert [ax.get_title(loc="left") for ax in shown[:6]][:3] == ["photo", "norm", "attention"]


def test_hits_show_means_and_leave_out_what_is_missing():
    shares = {"norm": np.array([[0.2, 0.4], [0.4, np.nan]])}
    ax = training_plots.hits([10, 100], shares, chance=0.25).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.3, 0.4])
    assert ax.lines[1].get_ydata()[0] == 0.25


def test_histograms_share_their_bins():
    random = np.random.default_rng(0)
    scores = {"a": (random.normal(3, 1, 500), random.normal(0, 1, 500))}
    ax = training_plots.score_histograms(scores).axes[0]
    assert len(ax.patches) == 2 * 49
    edges = [patch.get_x() for patch in ax.patches]
    assert edges[:49] == edges[49:]
