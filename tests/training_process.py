"""Train in a process of its own, which tests start and kill. Arguments: PHOTOS RUN [options]."""

import argparse
import os
import signal
import threading
from pathlib import Path

from worlds import network, settings

from delfjax.training import loop
from delfjax.training.run_folder import RunFolder


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_save(number: int) -> None:
    """Kill this process while a state is written."""
    original = RunFolder.save

    def save(run, step, state, *, loss):
        if step == number:
            threading.Timer(0.03, kill_self).start()
        original(run, step, state, loss=loss)

    RunFolder.save = save


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--kill-in-save", type=int)
    options = parser.parse_args()
    if options.kill_in_save is not None:
        kill_in_save(options.kill_in_save)
    loop.train(options.photos, options.run, config=settings(), start=network())
