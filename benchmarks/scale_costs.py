"""What a collection costs: the bytes of an image, and costs by size beyond what was tried (Sec. 4.4).

Measured costs are continued by a power law, ``cost = a * size ** b``, fitted to logarithms. It goes on as
if nothing new came: no memory that ends, no disk that is slower.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from delfjax.features.pca import PAPER_DIMENSIONS
from delfjax.features.shards import FIELDS
from delfjax.search.nndescent import NNDescentConfig
from delfjax.search.product_quantization import PAPER_BITS, PAPER_PARTS

PAPER_FEATURES = 1000  # of an image, at most: delf_config_example
EDGE, ROW, SINGLE = (
    4,
    8,
    4,
)  # bytes of an edge, of a row number beside a code, of a number in memory

Sizes = Int[np.ndarray, " s"] | Float[np.ndarray, " s"]
Costs = Float[np.ndarray, " s"]


# --- bytes


def store_bytes(
    features: int = PAPER_FEATURES, dimensions: int = PAPER_DIMENSIONS
) -> dict[str, float]:
    """Return the bytes that the features of an image take in a store, by part."""
    numbers = {"positions": 2, "scales": 1, "scores": 1, "descriptors": dimensions}
    bytes_of = {part: np.dtype(kind).itemsize * numbers[part] for part, kind in FIELDS.items()}
    descriptors = bytes_of.pop("descriptors")
    return {"descriptors": features * descriptors, "keypoints": features * sum(bytes_of.values())}


def index_bytes(
    kind: str,
    features: int = PAPER_FEATURES,
    dimensions: int = PAPER_DIMENSIONS,
    *,
    degree: int = NNDescentConfig().degree,
) -> dict[str, float]:
    """Return the bytes that an image takes in an index in memory, by part, centers and entries left out.

    Args:
        kind: ``"exact"``, ``"nndescent"``, ``"codes"``, or ``"paper"``: of its index only the 50 bits of
            a code are known to us, and counted.
        features: Of an image.
        dimensions: Of a descriptor.
        degree: Edges of a node of the graph.

    Raises:
        ValueError: If there is no such kind.
    """
    bits = PAPER_PARTS * PAPER_BITS
    parts = {
        "exact": {"descriptors": SINGLE * dimensions},
        "nndescent": {"descriptors": SINGLE * dimensions, "edges": EDGE * degree},
        "codes": {"codes": -(-bits // 8), "row numbers": ROW},
        "paper": {"codes": bits / 8},
    }
    if kind not in parts:
        raise ValueError(f"bytes of an index {kind!r}: expected {', '.join(parts)}")
    return {part: features * each for part, each in parts[kind].items()}


# --- seconds


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """``cost = a * size ** b``, as a line through logarithms, and how far measured costs lie off it.

    Attributes:
        exponent: ``b``: 1 where cost grows as the size does.
        center: Mean logarithm of the sizes.
        level: Logarithm of the cost there.
        deviation: Of the residuals, of which two were used up by the fit; in logarithms.
        spread: Sum of squared distances of the logarithms of sizes from the center.
        count: Sizes that were measured.
    """

    exponent: float
    center: float
    level: float
    deviation: float
    spread: float
    count: int

    def at(self, sizes: Sizes) -> Costs:
        """Return the cost of sizes."""
        return np.exp(self.level + self.exponent * (np.log(sizes) - self.center))

    def band(self, sizes: Sizes, share: float = 0.95) -> tuple[Costs, Costs]:
        """Return between what one more measurement would lie, in a ``share`` of cases, were this the law."""
        away = np.log(sizes) - self.center
        error = self.deviation * np.sqrt(1 + 1 / self.count + away**2 / self.spread)
        factor = np.exp(stats.t.ppf((1 + share) / 2, self.count - 2) * error)
        return self.at(sizes) / factor, self.at(sizes) * factor


def fit(sizes: Sequence[float], costs: Sequence[float]) -> PowerLaw:
    """Fit a power law by least squares of logarithms.

    Args:
        sizes: Three different ones at least.
        costs: Of each, in any unit.

    Raises:
        ValueError: If there are too few, or if one is not above 0.
    """
    if len(sizes) != len(costs) or len(set(sizes)) < 3:
        raise ValueError(
            f"{len(costs)} costs of {len(set(sizes))} sizes: expected one a size, of three at least"
        )
    if min(*sizes, *costs) <= 0:
        raise ValueError(f"a size or cost of {min(*sizes, *costs)}: expected all above 0")
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(costs, float))
    away = x - x.mean()
    spread = float(away @ away)
    exponent = float(away @ y) / spread
    residuals = y - y.mean() - exponent * away
    return PowerLaw(
        exponent=exponent,
        center=float(x.mean()),
        level=float(y.mean()),
        deviation=float(np.sqrt(residuals @ residuals / (len(x) - 2))),
        spread=spread,
        count=len(x),
    )


def between(size: float, sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the cost of a size between measured ones, on the line through logarithms of its neighbors.

    Raises:
        ValueError: If it lies outside: that is extrapolation, and `fit` says how sure it is.
    """
    if not min(sizes) <= size <= max(sizes):
        raise ValueError(
            f"{size} is not between {min(sizes)} and {max(sizes)}, which were measured"
        )
    x, y = np.log(np.array(sorted(zip(sizes, costs, strict=True)), float)).T
    return float(np.exp(np.interp(np.log(size), x, y)))
