"""A plan for a collection beyond what was tried: shards, machines, hours and money (Sec. 4.4 at scale).

A database in shards needs little faith: each shard is of a size that was measured, there are only more of
them, on as many machines as hold them in memory. What a machine costs, the caller says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from delfjax.paper.tables import DASH, Table

HOUR, GB = 3600, 1e9
HEADER = ("", "shards", "GB of memory", "machines")
HEADER += ("machine-hours: features", "machine-hours: building")
HEADER += ("hours until ready", "money until ready", "money a day after", "seconds a query")


@dataclass(frozen=True, kw_only=True)
class ShardCost:
    """What one shard was measured to cost.

    Attributes:
        descriptors: In it.
        build: Seconds.
        query: Seconds of one photo.
        each: Bytes of a descriptor in memory.
    """

    descriptors: int
    build: float
    query: float
    each: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the machines have, each as fast as the one that was measured, and what the caller says they cost.

    Attributes:
        memory: GB.
        usable: Share of it that shards may fill.
        price: Of an hour, in a currency of the caller's choice.
    """

    memory: float
    usable: float = 0.8
    price: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a collection would take.

    Attributes:
        shards: All of them.
        machines: Among which they are shared out.
        memory: GB of all shards.
        extraction: Machine-hours of the features.
        building: Machine-hours of the shards.
        hours: Until all is built, on all machines at once.
        money: Of those machine-hours.
        day: Money of a day on which the machines stand ready.
        query: Seconds of one photo: each machine searches its shards in turn, all machines at once.
            Without merging and verification.
    """

    shards: int
    machines: int
    memory: float
    extraction: float
    building: float
    hours: float
    money: float
    day: float
    query: float


def plan(
    descriptors: int,
    shard: ShardCost,
    machine: Machine,
    *,
    images: int,
    extraction: float,
    machines: int | None = None,
) -> Plan:
    """Plan a collection in shards.

    Args:
        descriptors: Of the whole collection.
        shard: What one costs.
        machine: What there is.
        images: Of the collection.
        extraction: Seconds of one image's features.
        machines: How many; as few as hold all in memory, if that is more or if None.

    Raises:
        ValueError: If a shard does not fit into a machine.
    """
    fit_in = int(machine.memory * machine.usable * GB // (shard.descriptors * shard.each))
    if not fit_in:
        raise ValueError(
            f"a shard of {shard.descriptors} descriptors takes {shard.descriptors * shard.each / GB:.1f} GB, "
            f"more than {machine.usable:.0%} of {machine.memory} GB: take smaller shards"
        )
    shards = -(-descriptors // shard.descriptors)
    machines = max(-(-shards // fit_in), machines or 1)
    extracting, building = images * extraction / HOUR, shards * shard.build / HOUR
    return Plan(
        shards=shards,
        machines=machines,
        memory=descriptors * shard.each / GB,
        extraction=extracting,
        building=building,
        hours=(extracting + building) / machines,
        money=(extracting + building) * machine.price,
        day=24 * machines * machine.price,
        query=-(-shards // machines) * shard.query,
    )


def told(plans: Mapping[str, Plan], *, remarks: Sequence[str] = ()) -> Table:
    """Lay plans out side by side, a row each."""
    rows = [
        (
            name,
            f"{each.shards:,}",
            f"{each.memory:,.1f}",
            f"{each.machines:,}",
            *(f"{hours:,.0f}" for hours in (each.extraction, each.building, each.hours)),
            *(f"{money:,.0f}" for money in (each.money, each.day)),
            f"{each.query:,.1f}",
        )
        for name, each in plans.items()
    ]
    return Table(header=HEADER, rows=tuple(rows), remarks=tuple(remarks))


def beside(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Table:
    """Lay measured rows out side by side: the index first, a dash where one has no such number."""

    def shown(value: object) -> str:
        if value is None:
            return DASH
        return f"{value:,}" if isinstance(value, int | float) else str(value)

    found = tuple(tuple(shown(row.get(column)) for column in columns) for row in rows)
    return Table(header=tuple(columns), rows=found)
