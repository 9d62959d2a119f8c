"""Plans: nothing is lost among shards and machines, and what does not fit is said."""

from dataclasses import replace

import pytest

from benchmarks.scale_plan import Machine, ShardCost, beside, plan, told
from delfjax.paper.tables import DASH

SHARD = ShardCost(descriptors=1_000_000, build=360.0, query=0.1, each=256.0)
MACHINE = Machine(memory=64, price=0.5)
COLLECTION = {"images": 1_000_000, "extraction": 1.8}


def test_a_billion_in_numbers_that_can_be_checked_by_hand():
    found = plan(10**9, SHARD, MACHINE, **COLLECTION)
    assert found.shards == 1000
    assert found.memory == 256
    assert found.machines == 5  # 200 shards of .256 GB in 51.2 GB each
    assert (found.extraction, found.building, found.hours) == (500, 100, 120)
    assert (found.money, found.day) == (300, 60)
    assert found.query == pytest.approx(20)


def test_more_machines_take_less_time_and_no_more_money_until_ready():
    few, many = (plan(10**9, SHARD, MACHINE, machines=n, **COLLECTION) for n in (None, 50))
    assert many.machines == 50
    assert many.hours == few.hours / 10
    assert many.query == pytest.approx(few.query / 10)
    assert many.money == few.money


def test_as_many_machines_as_hold_it():
    assert plan(10**9, SHARD, MACHINE, machines=2, **COLLECTION).machines == 5
    small = replace(MACHINE, memory=0.32)  # one shard each
    assert plan(10**9 + 1, SHARD, small, **COLLECTION).machines == 1001


def test_a_shard_has_to_fit():
    with pytest.raises(ValueError, match=r"takes 0\.3 GB, more than 80% of 0\.2 GB"):
        plan(10**9, SHARD, replace(MACHINE, memory=0.2), **COLLECTION)


def test_plans_are_told_a_row_each():
    table = told({"graph": plan(10**9, SHARD, MACHINE, **COLLECTION)}, remarks=["assumed"])
    (row,) = table.rows
    assert len(row) == len(table.header)
    assert row == ("graph", "1,000", "256.0", "5", "500", "100", "120", "300", "60", "20.0")
    assert table.remarks == ("assumed",)


def test_measured_rows_are_laid_side_by_side():
    rows = [{"index": "a", "ms": 1234.5, "disk": None}, {"index": "b", "ms": 2}]
    assert beside(rows, ["index", "ms", "disk"]).rows == (("a", "1,234.5", DASH), ("b", "2", DASH))
