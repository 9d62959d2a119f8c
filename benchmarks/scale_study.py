"""Model the costs of databases that are larger than the measured ones, for the notebook on scale.

A power law extrapolates a measured cost to larger databases. A plan needs no extrapolation: it splits the
database into shards (indexes of parts of the database) of a measured size, and spreads the shards over
machines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from delfjax.features.pca import PAPER_DIMENSIONS
from delfjax.features.store import feature_type
from delfjax.paper.tables import DASH, Table
from delfjax.plots.base import COLORS, NEUTRAL, Figure, subplots
from delfjax.search.nndescent import NNDescentConfig
from delfjax.search.product_quantization import PAPER_BITS, PAPER_PARTS

Row = Mapping[str, Any]  # one measurement of one index, as `benchmarks.costs` writes it
FEATURES = 1000  # features per image: the maximum in the paper
HOUR, GB, BILLION = 3600, 1e9, 1e9
USABLE = 0.8  # share of the memory of a machine that shards may use
MIN_SIZES = 4  # minimum for a power law in a figure; with 3 sizes, the interval fills the figure
PALETTE = (*COLORS, NEUTRAL)


# --- bytes per image


def store_bytes(features: int = FEATURES, dimensions: int = PAPER_DIMENSIONS) -> dict[str, float]:
    """Return the bytes that the features of an image take in a feature store, by part."""
    stored = feature_type(dimensions)
    descriptors = stored["descriptors"].itemsize
    return {
        "descriptors": features * descriptors,
        "keypoints": features * (stored.itemsize - descriptors),
    }


def index_bytes(
    kind: str, features: int = FEATURES, dimensions: int = PAPER_DIMENSIONS
) -> dict[str, float]:
    """Return the bytes that the features of an image take in an index in memory, by part.

    Args:
        kind: Kind of index: ``"exact"``, ``"nndescent"``, ``"pq"``, or ``"paper"``. For ``"paper"``, only
            the codes are counted, because the rest of the paper's index is not published.
        features: Number of features of the image.
        dimensions: Number of dimensions of a descriptor.
    """
    descriptor, edge, row_number = 4 * dimensions, 4, 8
    bits = PAPER_PARTS * PAPER_BITS
    parts = {
        "exact": {"descriptors": descriptor},
        "nndescent": {"descriptors": descriptor, "edges": edge * NNDescentConfig().degree},
        "pq": {"codes": -(-bits // 8), "row numbers": row_number},
        "paper": {"codes": bits / 8},
    }
    return {part: features * size for part, size in parts[kind].items()}


# --- costs by size


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """A power law, fitted as a straight line: the logarithm of a cost over the logarithm of the size.

    Attributes:
        exponent: Slope of the line. 1 if the cost is proportional to the size.
        center: Mean of the logarithms of the measured sizes.
        level: Logarithm of the cost at the center.
        deviation: Standard deviation of the logarithms of measured costs from the line.
        spread: Sum of squared differences between the logarithms of sizes and the center.
        count: Number of measured sizes.
    """

    exponent: float
    center: float
    level: float
    deviation: float
    spread: float
    count: int

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """Return the cost at each size."""
        return np.exp(self.level + self.exponent * (np.log(sizes) - self.center))

    def interval(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95% prediction interval of one more measurement at each size.

        The interval is valid only if the cost follows the power law at these sizes too.
        """
        away = np.log(sizes) - self.center
        error = self.deviation * np.sqrt(1 + 1 / self.count + away**2 / self.spread)
        factor = np.exp(stats.t.ppf(0.975, self.count - 2) * error)
        return self.at(sizes) / factor, self.at(sizes) * factor


def fit_power_law(sizes: Sequence[float], costs: Sequence[float]) -> PowerLaw:
    """Fit a power law to the logarithms of measured sizes and costs, by least squares.

    Raises:
        ValueError: If there are fewer than three different sizes, or a size or cost is not above 0.
    """
    if len(set(sizes)) < 3 or min(*sizes, *costs) <= 0:
        raise ValueError(
            f"sizes are {sizes}, costs are {costs}; expected three different sizes or more, all above 0"
        )
    x, y = np.log(sizes), np.log(costs)
    line = stats.linregress(x, y)
    residuals = y - line.intercept - line.slope * x
    return PowerLaw(
        exponent=float(line.slope),
        center=float(x.mean()),
        level=float(y.mean()),
        deviation=float(np.sqrt(residuals @ residuals / (len(x) - 2))),
        spread=float(((x - x.mean()) ** 2).sum()),
        count=len(x),
    )


def interpolate_cost(size: float, rows: Sequence[Row], column: str) -> float:
    """Interpolate the cost in a column of measurements linearly, on logarithms of size and cost.

    Raises:
        ValueError: If the size is smaller or larger than all measured sizes.
    """
    x, y = np.log(sorted((row["descriptors"], row[column]) for row in rows)).T
    if not x[0] <= np.log(size) <= x[-1]:
        raise ValueError(
            f"size is {size:,.0f}; expected {np.exp(x[0]):,.0f} to {np.exp(x[-1]):,.0f}, the range of measured sizes"
        )
    return float(np.exp(np.interp(np.log(size), x, y)))


# --- plans


@dataclass(frozen=True, kw_only=True)
class ShardCost:
    """Measured cost of one shard (an index of a part of the database).

    Attributes:
        descriptors: Number of descriptors in the shard.
        build: Seconds to build the shard.
        query: Seconds to search the shard for one photo.
        memory: Bytes in memory per descriptor.
    """

    descriptors: int
    build: float
    query: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection of images to be searched.

    Attributes:
        images: Number of images.
        extraction: Seconds to extract the features of one image.
    """

    images: int
    extraction: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Machines and costs of searching a collection that is split into shards.

    Attributes:
        shards: Number of shards.
        machines: Number of machines.
        memory: Memory of all shards in GB.
        extraction: Machine-hours to extract all features.
        building: Machine-hours to build all shards.
        hours: Hours until all shards are built, with all machines in parallel.
        money: Price of the machine-hours for extraction and building.
        daily: Price of running all machines for a day.
        query: Seconds to search for one photo, without merging results and verification. Machines search
            in parallel. Each machine searches its shards one after another.
    """

    shards: int
    machines: int
    memory: float
    extraction: float
    building: float
    hours: float
    money: float
    daily: float
    query: float


def make_plan(
    collection: Collection, shard: ShardCost, *, memory: float, price: float, machines: int = 1
) -> Plan:
    """Plan how many machines a collection needs, and what they cost.

    Args:
        collection: The collection.
        shard: Measured cost of one shard. All machines are assumed to be as fast as the measured one.
        memory: Memory of a machine in GB.
        price: Price of a machine-hour.
        machines: Minimum number of machines. The plan has more machines if the shards need more memory.

    Raises:
        ValueError: If a machine cannot hold one shard.
    """
    size = shard.descriptors * shard.memory / GB
    per_machine = int(memory * USABLE / size)
    if not per_machine:
        raise ValueError(
            f"a shard takes {size:.1f} GB of memory; expected at most {USABLE:.0%} of the {memory} GB of a "
            "machine. Fix: use smaller shards or machines with more memory"
        )
    descriptors = collection.images * FEATURES
    shards = -(-descriptors // shard.descriptors)
    machines = max(-(-shards // per_machine), machines)
    extraction = collection.images * collection.extraction / HOUR
    building = shards * shard.build / HOUR
    return Plan(
        shards=shards,
        machines=machines,
        memory=descriptors * shard.memory / GB,
        extraction=extraction,
        building=building,
        hours=(extraction + building) / machines,
        money=(extraction + building) * price,
        daily=24 * machines * price,
        query=-(-shards // machines) * shard.query,
    )


def plan_table(plans: Mapping[str, Plan], *, remark: str) -> Table:
    """Return a table with one named plan per row, and a remark below."""
    columns = {
        "shards": "{.shards:,}",
        "GB of memory": "{.memory:,.1f}",
        "machines": "{.machines:,}",
        "machine-hours: features": "{.extraction:,.0f}",
        "machine-hours: building": "{.building:,.0f}",
        "hours until ready": "{.hours:,.0f}",
        "price until ready": "{.money:,.0f}",
        "price per day after": "{.daily:,.0f}",
        "seconds per query": "{.query:,.1f}",
    }
    rows = tuple(
        (name, *(text.format(plan) for text in columns.values())) for name, plan in plans.items()
    )
    return Table(header=("", *columns), rows=rows, notes=(remark,))


def measurement_table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Return a table of measurements with the given columns. A missing value is shown as a dash."""

    def show(value: object) -> str:
        if value is None:
            return DASH
        return f"{value:,}" if isinstance(value, int | float) else str(value)

    cells = tuple(tuple(show(row.get(column)) for column in columns) for row in rows)
    return Table(header=tuple(columns), rows=cells)


# --- figures


def cost_curves(rows: Sequence[Row], columns: Mapping[str, str], *, smallest: float = 0) -> Figure:
    """Draw measured costs as points and power laws, up to a billion descriptors, as dashed lines.

    Args:
        rows: Measurements.
        columns: Columns to draw, one panel per column, as a dict from column to axis label.
        smallest: Smallest size that is used to fit a power law. An index with fewer than `MIN_SIZES` such
            sizes is drawn without a power law.
    """
    figure, axes = subplots(4.3 * len(columns), 3.6, 1, len(columns))
    names = list(dict.fromkeys(row["index"] for row in rows))
    for ax, (column, label) in zip(axes[0], columns.items(), strict=True):
        for name, color in zip(names, PALETTE, strict=False):
            points = [(row["descriptors"], row[column]) for row in rows if row["index"] == name]
            sizes, costs = np.array(points, float).T
            ax.plot(sizes, costs, color=color, marker="o", markersize=4, label=name)
            _draw_law(ax, sizes[sizes >= smallest], costs[sizes >= smallest], color)
        ax.set(xscale="log", yscale="log", xlabel="descriptors", ylabel=label)
        drawn = np.concatenate([line.get_ydata() for line in ax.lines])
        ax.set_ylim(drawn.min() / 2, drawn.max() * 2)  # a wide interval may exceed the panel
        ax.grid(alpha=0.25, linewidth=0.6)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names))
    return figure


def byte_bars(bars: Mapping[str, Mapping[str, float]], *, budget: tuple[str, float]) -> Figure:
    """Draw the bytes that one image takes as stacked bars, one bar per kind of storage.

    Args:
        bars: A dict from the title of a bar to a dict from part to bytes.
        budget: Label and bytes of a vertical line across all bars.
    """
    figure, axes = subplots(7.2, 0.5 * len(bars) + 1.3)
    ax, rows, ends = axes[0, 0], np.arange(len(bars)), np.zeros(len(bars))
    parts = dict.fromkeys(part for bar in bars.values() for part in bar)
    for part, color in zip(parts, PALETTE, strict=False):
        widths = np.array([bar.get(part, 0) / 1000 for bar in bars.values()])
        ax.barh(rows, widths, left=ends, color=color, label=part, height=0.6)
        ends = ends + widths
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for row, end in zip(rows, ends, strict=True):
        style = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": background}
        ax.annotate(f"{end:.4g}", (end, row), (4, 0), **style)
    title, size = budget
    ax.axvline(size / 1000, color="black", linewidth=0.8, linestyle=":", label=title)
    ax.set(xlabel="kB per image", xlim=(0, 1.12 * ends.max()))
    ax.set_yticks(rows, labels=list(bars))
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_law(ax: Axes, sizes: np.ndarray, costs: np.ndarray, color: str) -> None:
    if len(sizes) >= MIN_SIZES:
        law, beyond = fit_power_law(sizes, costs), np.geomspace(sizes.max(), BILLION, 60)
        ax.plot(beyond, law.at(beyond), color=color, linestyle="--", linewidth=1)
        ax.fill_between(beyond, *law.interval(beyond), color=color, alpha=0.12, linewidth=0)
