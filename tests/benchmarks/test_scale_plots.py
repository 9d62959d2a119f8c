"""What is drawn of costs and bytes, in numbers."""

import numpy as np

from benchmarks.scale_plots import bytes_bars, cost_curves


def rows(name, sizes, factor=1.0):
    return [{"index": name, "descriptors": size, "s": factor * size} for size in sizes]


def test_measured_costs_are_solid_and_the_law_beyond_is_dashed():
    measured = rows("graph", [1e3, 1e4, 1e5, 1e6], 2)
    (ax,) = cost_curves(measured, {"s": "seconds"}).axes
    solid, dashed = ax.lines
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    np.testing.assert_array_equal(solid.get_xydata(), [[s, 2 * s] for s in (1e3, 1e4, 1e5, 1e6)])
    further = dashed.get_xydata()
    np.testing.assert_allclose(further[[0, -1], 0], [1e6, 1e9])
    np.testing.assert_allclose(further[:, 1], 2 * further[:, 0])
    assert len(ax.collections) == 1  # the band
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_title(loc="left")) == ("log", "log", "seconds")


def test_small_sizes_do_not_bend_the_law():
    measured = [{"index": "graph", "descriptors": 1e2, "s": 500.0}]
    measured += rows("graph", [1e3, 1e4, 1e5, 1e6])
    (ax,) = cost_curves(measured, {"s": "seconds"}, least=1e3).axes
    np.testing.assert_allclose(ax.lines[1].get_ydata()[-1], 1e9)


def test_of_three_sizes_no_law_is_drawn_and_what_was_not_measured_is_left_out():
    measured = [*rows("graph", [1e3, 1e4, 1e5]), {"index": "graph", "descriptors": 1e6, "s": None}]
    (ax,) = cost_curves(measured, {"s": "seconds"}).axes
    (solid,) = ax.lines
    assert solid.get_xdata().tolist() == [1e3, 1e4, 1e5]
    assert not ax.collections


def test_bars_are_stacked_in_the_order_given():
    stacks = {"codes": {"codes": 7000, "rows": 8000}, "graph": {"rows": 1000, "edges": 96000}}
    (ax,) = bytes_bars(stacks, yardstick=("8 kB", 8000)).axes
    ends = {}
    for bar in ax.patches:
        middle = round(bar.get_y() + bar.get_height() / 2)
        assert bar.get_x() == ends.get(middle, 0)
        ends[middle] = bar.get_x() + bar.get_width()
    assert ends == {0: 15, 1: 97}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["codes", "graph"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
    assert ax.lines[0].get_xdata() == [8, 8]
