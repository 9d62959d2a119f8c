"""Measure the time of functions."""

import time
from collections.abc import Callable

import numpy as np


def measure(run: Callable[[], object]) -> tuple[object, float]:
    """Return the result of a function and the seconds it takes."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def compare(
    ours: Callable[[], object], other: Callable[[], object], *, rounds: int = 5
) -> tuple[float, float, float]:
    """Return the median seconds of two functions, and the median ratio of ours to the other.

    They run alternately, so that a machine whose speed changes is fair to both.
    """
    ours(), other()  # compile
    pairs = np.array([(measure(ours)[1], measure(other)[1]) for _ in range(rounds)])
    return *np.median(pairs, axis=0), np.median(pairs[:, 0] / pairs[:, 1])
