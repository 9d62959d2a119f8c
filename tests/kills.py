"""Run processes that tests kill. They are forked from a server that has imported the tests already."""

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
# The server finds these files by PYTHONPATH.
START.set_forkserver_preload(["test_store_kill"])


def die() -> NoReturn:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Kills this process after a number of ticks. 0 never kills it."""

    def __init__(self, ticks: int) -> None:
        self.left = ticks

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            die()


def killed(work: Callable, *arguments: object, after: float | None) -> list:
    """Run ``work(*arguments, connection)`` in a process that is killed.

    Args:
        work: Function to run. It must send something through the connection when it starts.
        arguments: Arguments of the function.
        after: Seconds after which to kill the process. None: the process kills itself or ends.

    Returns:
        Everything that the process sent.
    """
    receiver, sender = START.Pipe(duplex=False)
    process = START.Process(target=work, args=(*arguments, sender))
    process.start()
    sender.close()
    sent = [receiver.recv()]  # the process has started
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join()
    try:
        while True:
            sent.append(receiver.recv())
    except (EOFError, OSError):
        receiver.close()
    return sent
