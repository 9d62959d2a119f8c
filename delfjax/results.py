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
from delfjax.folders import whole

CLAIMS = "claims.json"  # beside the results, and none of them: see delfjax.claims
MARK, END = "<!-- results -->", "<!-- /results -->"
# A list of numbers and words as json.dumps breaks it into lines, and the breaks.
PLAIN_LIST, LINE_BREAK = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]"), re.compile(r",\n\s+")
# <!-- value .1f: NAME/key - OTHER/key -->25.3<!-- /value -->: a key of NAME.json, "value" if none is named; less another.
VALUE = re.compile(r"(<!-- value (\S+): (.+?) -->).*?(<!-- /value -->)", re.DOTALL)


def write(path: Path, result: dict[str, Any] | list[Any]) -> None:
    """Write a result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as temporary:
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


def rows(folder: Path, *, every: bool = False) -> list[tuple[str, str, str, str]]:
    """Return the results of a folder that carry a value: name, value, interval, what was measured.

    Args:
        folder: Of the results.
        every: Whether those are shown, too, that say of themselves that they are no ``headline``.

    Raises:
        ValueError: If there are none.
    """
    found = []
    for path in sorted(set(folder.glob("*.json")) - {folder / CLAIMS}):
        result = read(path)
        if "value" in result and (every or result.get("headline", True)):
            low, high = result.get("interval", (None, None))
            interval = "" if low is None else f"[{low}, {high}]"
            found.append((path.stem, f"{result['value']}", interval, result.get("what", "")))
    if not found:
        raise ValueError(f"{folder}: no results yet; run `make reproduce`")
    return found


def show_in(page: Path, shown: str, folder: Path) -> None:
    """Put a table into a page between its ``<!-- results -->`` marks, and values where its text marks them.

    Args:
        page: In Markdown or HTML.
        shown: The table, in Markdown.
        folder: Of the results that values are read from.

    Raises:
        ValueError: If the page has no such marks, or a mark names no number of the results.
    """
    text = page.read_text(encoding="utf-8")
    if len(parts := text.split(MARK)) != 2 or END not in parts[1]:
        raise ValueError(f"{page}: expected one {MARK} with {END} after it")
    after = parts[1].split(END, 1)[1]
    text = f"{parts[0]}{MARK}\n\n{shown}\n\n{END}{after}"
    page.write_text(with_values(text, folder), encoding="utf-8")


def with_values(text: str, folder: Path) -> str:
    """Return a text with every value that it marks written anew: of one result, or of one less another.

    Raises:
        ValueError: If a mark names no number of the results.
    """

    def filled(mark: re.Match[str]) -> str:
        first, *others = (_number(folder, name) for name in mark[3].split(" - "))
        return f"{mark[1]}{first - sum(others):{mark[2]}}{mark[4]}"

    return VALUE.sub(filled, text)


def _number(folder: Path, name: str) -> float:
    """Read what a mark names: ``NAME``, or ``NAME/key/...``."""
    stem, *keys = name.split("/")
    found: object = read(folder / f"{stem}.json")
    for key in keys or ["value"]:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, int | float):
        raise ValueError(f"{folder / stem}.json: no number for the mark {name!r} of a page")
    return found


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
