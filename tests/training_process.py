"""A training run in a process of its own, which tests start and kill: PHOTOS RUN [options]."""

import argparse
import os
import signal
import threading
from pathlib import Path

from worlds import network, settings

from delfjax.images.reading import scan
from delfjax.training import devices, loop
from delfjax.training.run_folder import Run


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_step(number: int) -> None:
    """Be killed while a step runs."""
    whole = loop.train_step

    def step(task, state, *arguments, **options):
        if int(state.step) == number:
            threading.Timer(0.001, die).start()
        return whole(task, state, *arguments, **options)

    loop.train_step = step


def die_in_save(number: int) -> None:
    """Be killed while a state is written."""
    whole = Run.save

    def save(run, step, state, *, loss):
        if step == number:
            threading.Timer(0.03, die).start()
        whole(run, step, state, loss=loss)

    Run.save = save


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--die-in-step", type=int)
    parser.add_argument("--die-in-save", type=int)
    parser.add_argument("--join", help="address:port of host 0")
    parser.add_argument("--host", type=int)
    options = parser.parse_args()
    if options.join:
        devices.connect(options.join, 2, options.host)
    if options.die_in_step is not None:
        die_in_step(options.die_in_step)
    if options.die_in_save is not None:
        die_in_save(options.die_in_save)
    loop.fit(settings(), scan(options.photos), network(), options.run)
