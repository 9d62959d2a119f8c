"""The time from the start of a process to its end."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from benchmarks.speed.networks import MODEL
from benchmarks.speed.race import Row, compare, race
from benchmarks.timing import measure

DELFJAX = (sys.executable, "-m", "delfjax")
SIDE = 640  # pixels: the longest side of the photos
FIRST_STARTS = 3


def run() -> list[Row]:
    """Measure an import, the version, and a match of two photos with an empty and a filled cache."""
    python = [sys.executable, "-c"]
    rows = race(
        "import delfjax",
        {"delfjax": start(*python, "import delfjax")},
        {"import numpy": start(*python, "import numpy")},
    )
    ours = {"delfjax": start(*DELFJAX, "--version")}
    rows += race(
        "delfjax --version",
        ours,
        {"pip --version": start(sys.executable, "-m", "pip", "--version")},
    )
    with tempfile.TemporaryDirectory() as folder:
        photo = Image.fromarray(load_sample_image("china.jpg"))
        photo.thumbnail((SIDE, SIDE))
        one, other = Path(folder) / "one.jpg", Path(folder) / "other.jpg"
        photo.save(one)
        photo.crop((40, 20, photo.width, photo.height)).save(other)
        for backend in ("jax", "openvino") if find_spec("openvino") else ("jax",):
            first, second = [], []
            for number in range(FIRST_STARTS):
                command = "match", one, other, "--model", MODEL, "--backend", backend
                again = start(*DELFJAX, *command, cache=f"{folder}/{backend}{number}")
                first.append(measure(again)[1])
                second += [measure(again)[1] for _ in range(2)]
            name = f"second start, backend {backend}"
            times = (name, np.array(second)), ("first start, empty cache", np.repeat(first, 2))
            rows.append(compare(f"delfjax match, photos of {SIDE} pixels", *times))
    return rows


def start(*command: object, cache: str = "") -> Callable[[], object]:
    """Return a function that runs a command, with a cache folder of its own if one is given."""
    environment = os.environ | ({"DELFJAX_CACHE": cache} if cache else {})
    arguments = [str(part) for part in command]
    return lambda: subprocess.run(arguments, check=True, capture_output=True, env=environment)
