"""From conv4 maps to one vector a photo: MAC, SPoC, GeM and R-MAC, the peers of local features.

The paper compares with DIR (R-MAC, trained) and siaMAC (MAC, trained); GeM came later. Here all are
pooled from the backbone that DELF has. A photo is pooled region by region, ``x = l2(sum_r l2(f(r)))``,
where R-MAC has a grid of regions and the others one: the whole of each pyramid level.

Sources: MAC and R-MAC: Tolias et al., "Particular object retrieval with integral max-pooling of CNN
activations", ICLR 2016; SPoC: Babenko and Lempitsky, ICCV 2015, here without its center prior; GeM:
Radenovic et al., PAMI 2018.

Symbols: ``f`` the pooling, ``r`` a region ``(top, left, height, width)``, in cells.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from delfjax.models.layers import l2_normalize

Pooling = Literal["mac", "spoc", "gem", "rmac"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
FLOOR = 1e-6  # of activations, in GeM: the official code's epsilon
RMAC_LEVELS = 3  # Tolias et al.: L = 3
RMAC_OVERLAP = 0.4  # and of neighboring regions, as near to this as can be
RMAC_EXTRA = 6  # regions more along the long side, at most
# Of one photo: the whole, and three grids with six more regions along the long side.
MAX_REGIONS = 1 + sum(level * (level + RMAC_EXTRA) for level in range(1, RMAC_LEVELS + 1))


def pool(
    maps: Float[Array, "y x c"],
    chosen: Bool[Array, "y x"],
    kind: Pooling,
    *,
    exponent: float = 3.0,
    floor: float = FLOOR,
) -> Float[Array, " c"]:
    """Pool the chosen cells of a map, channel by channel.

    Args:
        maps: Conv4 descriptors.
        chosen: Cells; at least one.
        kind: ``"mac"`` and ``"rmac"``: the maximum. ``"spoc"``: the mean. ``"gem"``: ``mean(x^p)^(1/p)``.
        exponent: ``p``: 1 is the mean, and the limit of large ones the maximum.
        floor: Activations under this are raised to it before the power.
    """
    chosen = chosen[..., None]
    if kind in ("mac", "rmac"):
        return jnp.where(chosen, maps, -jnp.inf).max((0, 1))
    if kind == "spoc":
        return jnp.where(chosen, maps, 0).sum((0, 1)) / chosen.sum()
    largest = jnp.where(chosen, jnp.maximum(maps, floor), floor).max((0, 1))
    # In units of the maximum: conv4's activations to the power of 30 would leave float32.
    powers = (jnp.maximum(maps, floor) / jnp.maximum(largest, 1e-30)) ** exponent
    mean = jnp.where(chosen, powers, 0).sum((0, 1)) / chosen.sum()
    return largest * mean ** (1 / exponent)


def pool_regions(
    maps: Float[Array, "y x c"],
    regions: Int[Array, "r 4"],
    count: Int[Array, ""],
    kind: Pooling,
    *,
    exponent: float = 3.0,
) -> Float[Array, " c"]:
    """Compute ``l2(sum_r l2(f(r)))`` over the first ``count`` regions, which may be traced."""
    y, x = jnp.arange(maps.shape[0])[:, None], jnp.arange(maps.shape[1])[None]

    def add(number: Int[Array, ""], total: Float[Array, " c"]) -> Float[Array, " c"]:
        top, left, height, width = regions[number]
        within = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        return total + l2_normalize(pool(maps, within, kind, exponent=exponent))

    return l2_normalize(jax.lax.fori_loop(0, count, add, jnp.zeros(maps.shape[-1])))


def pooling_regions(levels: Int[np.ndarray, "levels 4"], kind: Pooling) -> Int[np.ndarray, "r 4"]:
    """Return what is pooled of pyramid levels: each as a whole, and for R-MAC its regions too."""
    found = []
    for level in levels.tolist():
        found.append(level)
        if kind == "rmac":
            top, left, height, width = level
            found += [[top + y, left + x, h, w] for y, x, h, w in rmac_regions(height, width)]
    return np.array(found, np.int32)


def rmac_regions(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Lay the square regions of R-MAC on a map: ``l`` by ``l + m`` of side ``2 min / (l + 1)``.

    ``m`` is chosen so that the largest squares, ``1 + m`` of them, overlap by about `RMAC_OVERLAP`.
    """
    short, rest = min(height, width), abs(height - width)
    extra = 0
    if rest:
        choices = range(1, RMAC_EXTRA + 1)
        extra = min(choices, key=lambda m: abs(1 - rest / m / short - RMAC_OVERLAP))
    regions = []
    for level in range(1, RMAC_LEVELS + 1):
        side = max(1, 2 * short // (level + 1))
        rows = _starts(height, side, level + (extra if height > width else 0))
        columns = _starts(width, side, level + (extra if width > height else 0))
        regions += [(y, x, side, side) for y in rows for x in columns]
    return regions


def _starts(length: int, side: int, count: int) -> list[int]:
    """Space so many squares evenly over a length, in whole cells."""
    return [number * (length - side) // max(count - 1, 1) for number in range(count)]
