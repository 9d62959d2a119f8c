"""Metrics of the revisited protocols as text, in the form of tensorflow/models' ``metrics.txt``.

Of each protocol, sorted: its name, then mAP, and mean precision and recall at cutoffs, in percent::

    hard
      mAP=70.0
      mP@k[1 5] [100.  80.]
      mR@k[1 5] [50. 80.]
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delfjax.metrics import AtEachK, Scores

LINES = 4  # of a protocol
DECIMALS = 2
AT_K = re.compile(r"  (m[PR])@k\[([\d ]+)\] \[([^\]]*)\]")


class Means(NamedTuple):
    """A protocol's means over queries, 0 to 1."""

    mean_average_precision: float
    ks: tuple[int, ...]
    mean_precision_at: AtEachK
    mean_recall_at: AtEachK


def write(scores: Mapping[str, Scores], path: Path) -> None:
    """Write the means of each protocol."""
    lines = []
    for protocol in sorted(scores):
        each = scores[protocol]
        ks = _array(np.array(each.ks))
        lines += [
            protocol,
            f"  mAP={round(100 * each.mean_average_precision, DECIMALS)}",
            f"  mP@k{ks} {_array(100 * each.mean_precision_at)}",
            f"  mR@k{ks} {_array(100 * each.mean_recall_at)}",
        ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(path: Path) -> dict[str, Means]:
    """Read the means of each protocol, in the order of the file.

    Raises:
        ValueError: If the file is of another form, or a protocol is in it twice.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) % LINES:
        raise _malformed(
            path, len(lines), f"ends within a protocol; expected {LINES} lines of each"
        )
    found: dict[str, Means] = {}
    for start in range(0, len(lines), LINES):
        protocol = lines[start]
        if protocol in found:
            raise _malformed(path, start + 1, f"{protocol} for a second time; expected it once")
        try:
            found[protocol] = _means(lines[start + 1 : start + LINES])
        except ValueError:
            expected = "expected mAP=, mP@k[...] [...] and mR@k[...] [...] after its name"
            raise _malformed(path, start + 1, f"{protocol}; {expected}") from None
    return found


def _means(lines: list[str]) -> Means:
    """Read the lines below a protocol's name; another form is a ValueError."""
    average, precision, recall = lines
    name, _, value = average.partition("=")
    tables = [AT_K.fullmatch(line) for line in (precision, recall)]
    if name != "  mAP" or None in tables or [table[1] for table in tables] != ["mP", "mR"]:
        raise ValueError
    ks = [tuple(map(int, table[2].split())) for table in tables]
    means = [np.array(table[3].split(), float) / 100 for table in tables]
    if ks[0] != ks[1] or {len(each) for each in means} != {len(ks[0])}:
        raise ValueError
    return Means(float(value) / 100, ks[0], *means)


def _array(values: np.ndarray) -> str:
    """Print an array as NumPy does, but on one line and whole, however long it is."""
    values = values if values.dtype.kind == "i" else np.around(values, DECIMALS)
    return np.array2string(values, max_line_width=sys.maxsize, threshold=sys.maxsize)


def _malformed(path: Path, line: int, why: str) -> ValueError:
    return ValueError(f"Malformed input {path}, line {line}: {why}")
