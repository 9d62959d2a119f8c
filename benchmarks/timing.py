"""Measure the time that functions take, and run functions in new processes."""

import subprocess
import sys
import time
from collections.abc import Callable


def measure(run: Callable[[], object]) -> tuple[object, float]:
    """Run a function; return the function's result and the time in seconds."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def run_in_process(module: str, call: str) -> str:
    """Run a function call in a module, in a new process. Return the last line of the printed result."""
    code = f"from {module} import *; print({call})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().splitlines()[-1]
