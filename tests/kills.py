"""Processes that tests kill: forked from one that has imported these files already, and so begun in no time."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import NoReturn

import pytest

if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("no forkserver on this system", allow_module_level=True)
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(
    ["test_store_kill", "test_append_kill"]
)  # it needs PYTHONPATH to find them


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Kills this process at its last tick; one of no ticks does not."""

    def __init__(self, ticks: int) -> None:
        self.left = ticks

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            die()


def killed(work: Callable, *arguments: object, after: float | None) -> list:
    """Run ``work(*arguments, reports)`` in a process that is killed; return what it had sent by then.

    Args:
        work: It sends something as it begins.
        after: It is killed so many seconds later; None: it kills itself, or ends.
    """
    here, there = START.Pipe(duplex=False)
    process = START.Process(target=work, args=(*arguments, there))
    process.start()
    there.close()
    sent = [here.recv()]  # it has begun
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join()
    try:
        while True:
            sent.append(here.recv())
    except (EOFError, OSError):
        here.close()
    return sent
