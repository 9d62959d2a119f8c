"""Pool conv4 feature maps of a photo into one global descriptor, by MAC, GeM or R-MAC.

MAC (Tolias et al., 2016) is the maximum of each channel, and GeM (Radenovic et al., 2018) is a
generalized mean. Both pool each resized copy of the photo as one region. R-MAC (Tolias et al.,
2016) is MAC that also pools squares of each copy. The vectors of all regions are L2-normalized and
added, and the sum is L2-normalized. The paper compares DELF with DIR (a trained R-MAC) and siaMAC.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from delfjax.models.layers import l2_normalize

Pooling = Literal["mac", "gem", "rmac"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
GEM_EPSILON = 1e-6  # smallest activation in GeM: the official code's epsilon
RMAC_LEVELS = 3  # Tolias et al.: L = 3
RMAC_OVERLAP = 0.4  # desired overlap of neighboring regions
RMAC_EXTRA = 6  # largest number of additional regions along the long side
# Largest number of regions of one pyramid level: the whole level and the grids of R-MAC.
MAX_REGIONS = 1 + sum(level * (level + RMAC_EXTRA) for level in range(1, RMAC_LEVELS + 1))


def pool(
    maps: Float[Array, "y x c"],
    mask: Bool[Array, "y x"],
    kind: Pooling,
    *,
    exponent: float = 3.0,
) -> Float[Array, " c"]:
    """Pool each channel of a feature map over the positions of a mask.

    Args:
        maps: Conv4 feature map.
        mask: Positions to pool, at least one.
        kind: ``"mac"`` and ``"rmac"`` compute the maximum of the values ``x``, and ``"gem"`` the
            generalized mean ``mean(x^p)^(1/p)`` with the exponent ``p``.
        exponent: Exponent ``p`` of GeM. 1 is the mean, and large values approach the maximum.
    """
    mask = mask[..., None]
    if kind in ("mac", "rmac"):
        return jnp.where(mask, maps, -jnp.inf).max((0, 1))
    activations = jnp.maximum(maps, GEM_EPSILON)
    largest = jnp.where(mask, activations, GEM_EPSILON).max((0, 1))
    # Divided by the maximum, because conv4 activations to the power of 30 would overflow float32.
    powers = (activations / largest) ** exponent
    mean = jnp.where(mask, powers, 0).sum((0, 1)) / mask.sum()
    return largest * mean ** (1 / exponent)


def pool_regions(
    maps: Float[Array, "y x c"],
    regions: Int[Array, "r 4"],
    count: Int[Array, ""],
    kind: Pooling,
    *,
    exponent: float = 3.0,
) -> Float[Array, " c"]:
    """Compute the global descriptor of a photo from the regions of a feature map.

    Args:
        maps: Conv4 feature map that contains all pyramid levels (resized copies of the photo).
        regions: Top, left, height and width of each region, in cells of the map.
        count: Number of regions. Rows of ``regions`` after the first ``count`` are ignored.
        kind: Pooling of one region.
        exponent: Exponent of GeM.
    """
    y, x = jnp.arange(maps.shape[0])[:, None], jnp.arange(maps.shape[1])[None]

    def add(number: Int[Array, ""], total: Float[Array, " c"]) -> Float[Array, " c"]:
        top, left, height, width = regions[number]
        inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        return total + l2_normalize(pool(maps, inside, kind, exponent=exponent))

    return l2_normalize(jax.lax.fori_loop(0, count, add, jnp.zeros(maps.shape[-1])))


def pooling_regions(levels: Int[np.ndarray, "levels 4"], kind: Pooling) -> Int[np.ndarray, "r 4"]:
    """Return the regions to pool: each pyramid level and, for R-MAC, square regions of each level.

    Rows of ``levels`` and of the result hold top, left, height and width in cells of the map.
    """
    regions = []
    for top, left, height, width in levels.tolist():
        regions.append((top, left, height, width))
        if kind == "rmac":
            regions += [(top + y, left + x, h, w) for y, x, h, w in rmac_regions(height, width)]
    return np.array(regions, np.int32)


def rmac_regions(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, height and width of the square regions of R-MAC, in cells of a map.

    The regions form grids, with numbers ``l`` from 1 to `RMAC_LEVELS`. A square of grid ``l`` has
    the side ``2 min(height, width) / (l + 1)``. Grid ``l`` has ``l`` squares along the short side
    of the map, and ``l + m`` along the long side. ``m`` is 0 for a square map. Otherwise, ``m`` is
    chosen so that adjacent squares of grid 1 overlap by about `RMAC_OVERLAP` of their side.
    """
    short, rest = min(height, width), abs(height - width)
    extra = min(range(1, RMAC_EXTRA + 1), key=lambda m: abs(1 - rest / m / short - RMAC_OVERLAP))
    regions = []
    for level in range(1, RMAC_LEVELS + 1):
        side = max(1, 2 * short // (level + 1))
        counts = (level + extra * (length > short) for length in (height, width))
        rows, columns = (
            [number * (length - side) // max(count - 1, 1) for number in range(count)]
            for length, count in zip((height, width), counts, strict=True)
        )
        regions += [(y, x, side, side) for y in rows for x in columns]
    return regions
