"""Timing two things in turn, so that a machine whose speed drifts is unfair to neither."""

import time
from collections.abc import Callable

import numpy as np


def in_turn(
    ours: Callable[[], object], peer: Callable[[], object], *, rounds: int = 5
) -> tuple[float, float, float]:
    """Return the median seconds of each and the median of their ratio, ours over the peer's."""
    ours(), peer()  # compile, warm up
    pairs = np.array([(_seconds(ours), _seconds(peer)) for _ in range(rounds)])
    return *np.median(pairs, axis=0), np.median(pairs[:, 0] / pairs[:, 1])


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
