"""Measure functions of delfjax and of other libraries in turn."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.timing import measure

Row = dict[str, Any]  # one comparison
Functions = Mapping[str, Callable[[], object]]

ROUNDS = 7


def race(
    work: str,
    ours: Functions,
    peers: Functions,
    *,
    rounds: int = ROUNDS,
    factors: Mapping[str, float] | None = None,
) -> list[Row]:
    """Run all functions in each round, and compare each of ours with each peer.

    The order is random, because a function can slow down the next one. The times of some peers are
    multiplied by ``factors``, because these peers do only a part of the work.
    """
    functions = [*ours.values(), *peers.values()]
    for function in functions:
        function()  # compiles
    seconds = np.empty((rounds, len(functions)))
    random = np.random.default_rng(0)
    for turn in range(rounds):
        for n in random.permutation(len(functions)):
            seconds[turn, n] = measure(functions[n])[1]
    for n, name in enumerate([*ours, *peers]):
        seconds[:, n] *= (factors or {}).get(name, 1.0)
    return [
        compare(work, (mine, seconds[:, n]), (theirs, seconds[:, m]))
        for n, mine in enumerate(ours)
        for m, theirs in enumerate(peers, start=len(ours))
    ]


def compare(
    work: str, ours: tuple[str, np.ndarray], peer: tuple[str, np.ndarray], unit: str = "s"
) -> Row:
    """Return the row for two series of values, each with its name.

    The ratio is the median of the peer's value divided by ours: above 1, ours is better.
    """
    (name, mine), (other, theirs) = ours, peer
    return {
        "work": work,
        "ours": name,
        "peer": other,
        "ratio": round(float(np.median(theirs / mine)), 3),
        "values": [float(f"{np.median(each):.4g}") for each in (mine, theirs)],
        "unit": unit,
        "runs": len(mine),
    }
