"""Tools that the notebooks share: show source code, measure times, read photos and training logs."""

import ast
import inspect
import json
import pkgutil
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from IPython.display import Markdown
from jaxtyping import Float, UInt8
from sklearn.datasets import load_sample_image

from delfjax.datasets import rendered
from delfjax.features.pyramid import merge_levels
from delfjax.images.folder import PhotoFolder
from delfjax.images.reading import read_image
from delfjax.models.zoo import zoo
from delfjax.plots.base import resize
from delfjax.provenance import RESULTS
from delfjax.training.data import center_square
from delfjax.types import Photo

REPEATS = 5  # measurements of one time
INCLUDED = {"pavilion": "china.jpg", "flower": "flower.jpg"}  # photos of scikit-learn (CC BY 2.0)
REAL_PHOTOS = rendered.ROOT.parent / "photos"


def source(name: str) -> Markdown:
    """Show the source code of a function or a class of delfjax, without its docstrings.

    Args:
        name: Full name, such as ``"delfjax.models.attention.weighted_pool"``.
    """
    found = inspect.unwrap(pkgutil.resolve_name(name))
    code = textwrap.dedent(inspect.getsource(found))
    lines = code.splitlines()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            text = node.body[0]
            lines[text.lineno - 1 : text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
    shown = "\n".join(line for line in lines if line.strip())
    path = found.__module__.replace(".", "/")
    return Markdown(f"Source of `{name}`, in `{path}.py`:\n\n```python\n{shown}\n```")


def milliseconds(function: Callable[..., object], *arguments: object) -> float:
    """Measure the time of a call, in milliseconds: the median of a few calls after a first one.

    The first call may compile the function. JAX returns before a result is ready, so each measurement
    waits for the result.
    """
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def real_photo(name: str) -> Photo:
    """Read a photo of ``data/photos``, such as ``"berlin_01"``, or ``"pavilion"`` or ``"flower"``."""
    if name in INCLUDED:
        return np.asarray(load_sample_image(INCLUDED[name]))
    return read_image(REAL_PHOTOS / f"{name}.jpg")


def square_photos(
    folder: PhotoFolder, names: Sequence[str], side: int
) -> UInt8[np.ndarray, "b {side} {side} 3"]:
    """Read photos, crop them to their central squares, and resize these to ``side`` pixels."""
    return np.stack([resize(center_square(folder.load(name)), (side, side)) for name in names])


def enlarge(scores: Float[np.ndarray, "y x"], size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Enlarge a map with one score per cell to a photo of ``size``, its height and width in pixels."""
    return merge_levels([np.asarray(scores)], np.array([size]), size)


def training_log(name: str) -> list[dict[str, Any]]:
    """Read the log of a training run: a model that comes with delfjax, or a run of ``data/results``."""
    path = (
        zoo()[name].with_suffix(".jsonl") if name in zoo() else RESULTS / "runs" / f"{name}.jsonl"
    )
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
