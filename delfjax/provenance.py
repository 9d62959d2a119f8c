"""Results on disk: one JSON file each, written by a run, and the only source of every printed figure."""

import json
import math
import os
import platform
import re
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import delfjax
from delfjax.files import atomic_write

CLAIMS = "claims.json"  # beside the results, and none of them: see delfjax.evaluation.significance
# A list of numbers and words as json.dumps breaks it into lines, and the breaks.
PLAIN_LIST, LINE_BREAK = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]"), re.compile(r",\n\s+")


def write(path: Path, result: dict[str, Any] | list[Any]) -> None:
    """Write a result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(to_json(result) + "\n", encoding="utf-8")


def to_json(result: dict[str, Any] | list[Any]) -> str:
    """Return a result as JSON. That knows no infinity, which means "no limit" here: it becomes null.

    Raises:
        ValueError: If a number is NaN.
    """
    text = json.dumps(_finite(result), indent=2, sort_keys=True, allow_nan=False)
    # A list of plain values stands on one line; no string of JSON has a line break to be mistaken for one.
    return PLAIN_LIST.sub(lambda found: f"[{LINE_BREAK.sub(', ', found[1])}]", text)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def read(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        ValueError: If the file is no result of ours.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(result, dict):
            raise ValueError(f"a {type(result).__name__}, expected an object")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a result file ({error}); run `make reproduce`") from error
    return result


def circumstances(config: object) -> dict[str, Any]:
    """Return what every result is kept with: its configuration, the versions and the hardware."""
    settings = asdict(config) if is_dataclass(config) else config
    return {"config": settings, "versions": versions(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    packages = {"delfjax": delfjax.__version__, "jax": jax.__version__, "numpy": np.__version__}
    return packages | {"python": platform.python_version()}


def hardware() -> str:
    """Name the device that computed."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"{platform.machine()} CPU, {os.cpu_count()} cores"
    return device.device_kind
