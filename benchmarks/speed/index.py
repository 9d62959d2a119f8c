"""Building and searching a neighbor graph: delfjax, pynndescent, hnswlib and faiss.

The times of searches are compared at the same recall; see `benchmarks.scale`.
"""

import numpy as np

from benchmarks import scale
from benchmarks.speed.race import Row, compare

SIZES = (100_000, 1_000_000)  # descriptors
OURS, EXACT = "delfjax nndescent", ("delfjax exact", "faiss flat")
COLUMNS = {  # title and unit of each column of `benchmarks.scale`
    "build s": ("building", "s", 1),
    "ms per 1,000 queries": ("1,000 searches", "ms", scale.ROUNDS),
    "MB in memory": ("memory", "MB", 1),
}


def run() -> list[Row]:
    """Compare the graph of delfjax with the other approximate indexes at each size."""
    return [row for size in SIZES for row in comparisons(size, scale.run(size))]


def comparisons(size: int, result: dict) -> list[Row]:
    """Return the rows for one size, from the result of `benchmarks.scale`."""
    measured, rows = {row["index"]: row for row in result["rows"]}, []
    for column, (title, unit, runs) in COLUMNS.items():
        for name, row in measured.items():
            if name in (OURS, *EXACT):
                continue
            work = f"index of {size:,} descriptors: {title}"
            if column.startswith("ms"):
                work += f", recall@60 {row['recall@60']:.3f}"
            ours, theirs = (np.array([each[column]]) for each in (measured[OURS], row))
            compared = compare(work, ("nndescent", ours), (name, theirs), unit)
            rows.append(compared | {"runs": runs})
    return rows
