"""Tests of byte counts, power laws, plans and figures of the scale study."""

import numpy as np
import pytest

from benchmarks import scale_study
from benchmarks.scale_study import Collection, ShardCost, fit_power_law, make_plan
from delfjax.features.store import FILE, FeatureStore
from delfjax.paper.tables import DASH
from delfjax.search.exact import ExactIndex
from delfjax.search.nndescent import NNDescentConfig, NNDescentIndex
from delfjax.types import Features

SIZES = [1e4, 1e5, 1e6, 1e7]
SHARD = ShardCost(descriptors=1_000_000, build=360.0, query=0.1, memory=256.0)
MILLION = Collection(images=1_000_000, extraction=1.8)  # a billion descriptors
DESCRIPTORS = np.random.default_rng(0).standard_normal((600, 8), np.float32)


def rows(name, sizes, factor=1.0):
    return [{"index": name, "descriptors": size, "s": factor * size} for size in sizes]


# --- bytes


def test_store_bytes_are_those_of_its_file(tmp_path):
    ones, positions = np.ones(600, np.float32), DESCRIPTORS[:, :2]
    arrays = {"positions": positions, "scales": ones, "scores": ones, "descriptors": DESCRIPTORS}
    with FeatureStore(tmp_path / "store", {}) as store:
        store.write("photo", Features(**arrays, image_size=(4, 5)))
    on_disk = (tmp_path / "store" / FILE).stat().st_size
    counted = sum(scale_study.store_bytes(600, 8).values())
    assert counted <= on_disk < counted + 40_000  # about ten pages of SQLite


def test_index_bytes_are_those_of_an_index():
    exact = ExactIndex(DESCRIPTORS)._content()[1]
    counted = scale_study.index_bytes("exact", 600, 8)
    assert sum(array.nbytes for array in exact.values()) == sum(counted.values())
    edges, entries = np.zeros((600, 24), np.int32), np.zeros(2, np.int32)
    graph = NNDescentIndex(DESCRIPTORS, edges, entries, NNDescentConfig())._content()[1]
    counted = scale_study.index_bytes("nndescent", 600, 8)
    assert sum(array.nbytes for array in graph.values()) - entries.nbytes == sum(counted.values())


def test_bytes_of_codes():
    assert scale_study.index_bytes("paper") == {"codes": 6250}
    assert sum(scale_study.index_bytes("pq").values()) == 15_000


# --- costs by size


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0, 1.2])
def test_fit_recovers_a_power_law(exponent):
    law = fit_power_law(SIZES, [3 * size**exponent for size in SIZES])
    assert law.exponent == pytest.approx(exponent, abs=1e-12)
    far = np.array([10.0, 1e9])
    np.testing.assert_allclose(law.at(far), 3 * far**exponent)
    np.testing.assert_allclose(law.interval(far), [law.at(far)] * 2)


def test_interval_widens_with_distance():
    low, high = fit_power_law(SIZES, [1, 12, 90, 1100]).interval(np.array([1e6, 1e8, 1e9]))
    assert (np.diff(high / low) > 0).all()


def test_interval_contains_95_percent_of_new_measurements():
    inside = 0
    for trial in range(400):
        noise = np.exp(0.2 * np.random.default_rng(trial).normal(size=6))
        sizes = np.geomspace(1e4, 1e9, 6)
        law = fit_power_law(sizes[:5], (sizes * noise)[:5])
        low, high = law.interval(sizes[5:])
        inside += int(low[0] <= sizes[5] * noise[5] <= high[0])
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize(
    ("sizes", "costs"), [([1, 2], [1, 2]), ([1, 2, 2], [1, 2, 3]), ([1, 2, 3], [1, 0, 3])]
)
def test_fit_needs_three_sizes_and_positive_costs(sizes, costs):
    with pytest.raises(ValueError, match="expected three different sizes"):
        fit_power_law(sizes, costs)


def test_costs_between_measured_sizes_are_interpolated():
    measured = [{"descriptors": n, "s": s} for n, s in zip(SIZES, (1, 100, 20, 30), strict=True)]
    assert scale_study.interpolate_cost(1e5, measured[::-1], "s") == pytest.approx(100)
    assert scale_study.interpolate_cost(10**4.5, measured, "s") == pytest.approx(10)
    with pytest.raises(ValueError, match="the range of measured sizes"):
        scale_study.interpolate_cost(2e7, measured, "s")


# --- plans


def test_plan_of_a_billion_descriptors():
    plan = make_plan(MILLION, SHARD, memory=64, price=0.5)
    assert (plan.shards, plan.memory) == (1000, 256)
    assert plan.machines == 5  # 200 shards of .256 GB in 51.2 GB each
    assert (plan.extraction, plan.building, plan.hours) == (500, 100, 120)
    assert (plan.money, plan.daily) == (300, 60)
    assert plan.query == pytest.approx(20)


def test_more_machines_take_less_time_for_the_same_price():
    few, many = (make_plan(MILLION, SHARD, memory=64, price=0.5, machines=n) for n in (2, 50))
    assert (few.machines, many.machines) == (5, 50)
    assert many.hours == few.hours / 10
    assert many.query == pytest.approx(few.query / 10)
    assert many.money == few.money


def test_a_machine_must_hold_a_shard():
    assert make_plan(MILLION, SHARD, memory=0.33, price=1).machines == 1000  # one shard each
    with pytest.raises(
        ValueError, match=r"takes 0\.3 GB of memory; expected at most 80% of the 0\.2 GB"
    ):
        make_plan(MILLION, SHARD, memory=0.2, price=1)


def test_tables():
    plans = {"graph": make_plan(MILLION, SHARD, memory=64, price=0.5)}
    table = scale_study.plan_table(plans, remark="assumed")
    assert len(table.header) == len(table.rows[0])
    assert table.rows[0] == (
        *("graph", "1,000", "256.0", "5", "500"),
        *("100", "120", "300", "60", "20.0"),
    )
    measured = [{"index": "a", "ms": 1234.5, "disk": None}, {"index": "b", "ms": 2}]
    table = scale_study.measurement_table(measured, ["index", "ms", "disk"])
    assert table.rows == (("a", "1,234.5", DASH), ("b", "2", DASH))


# --- figures


def test_measured_costs_are_solid_and_the_law_is_dashed():
    measured = [{"index": "graph", "descriptors": 1e2, "s": 500.0}]  # below the smallest size
    measured += rows("graph", [1e3, 1e4, 1e5, 1e6], 2)
    (ax,) = scale_study.cost_curves(measured, {"s": "seconds"}, smallest=1e3).axes
    solid, dashed = ax.lines
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert solid.get_xdata().tolist() == [1e2, 1e3, 1e4, 1e5, 1e6]
    beyond = dashed.get_xydata()
    np.testing.assert_allclose(beyond[[0, -1], 0], [1e6, 1e9])
    np.testing.assert_allclose(beyond[:, 1], 2 * beyond[:, 0])
    assert len(ax.collections) == 1  # the interval


def test_three_sizes_get_no_law():
    (ax,) = scale_study.cost_curves(rows("graph", [1e3, 1e4, 1e5]), {"s": "seconds"}).axes
    assert len(ax.lines) == 1
    assert not ax.collections


def test_bars_are_stacked_in_the_given_order():
    bars = {"pq": {"codes": 7000, "rows": 8000}, "graph": {"rows": 1000, "edges": 96000}}
    (ax,) = scale_study.byte_bars(bars, budget=("8 kB", 8000)).axes
    ends = {}
    for bar in ax.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        assert bar.get_x() == ends.get(row, 0)
        ends[row] = bar.get_x() + bar.get_width()
    assert ends == {0: 15, 1: 97}
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first bar is on top
    assert ax.lines[0].get_xdata() == [8, 8]
