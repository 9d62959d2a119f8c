"""Measure the time that functions take, and run functions in new processes."""

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np


def measure(run: Callable[[], object]) -> tuple[object, float]:
    """Run a function; return the function's result and the time in seconds."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def compare(
    ours: Callable[[], object], other: Callable[[], object], *, rounds: int = 5
) -> tuple[float, float, float]:
    """Run two functions several times; return the median seconds of each and the median ratio.

    The ratio is the time of ``ours`` divided by the time of ``other``. The functions run alternately, so
    that changes in the speed of the machine affect both.
    """
    ours(), other()  # the first run compiles
    pairs = np.array([(measure(ours)[1], measure(other)[1]) for _ in range(rounds)])
    return *np.median(pairs, axis=0), np.median(pairs[:, 0] / pairs[:, 1])


def run_in_process(module: str, call: str) -> str:
    """Run a function call in a module, in a new process. Return the last line of the printed result."""
    code = f"from {module} import *; print({call})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().splitlines()[-1]
