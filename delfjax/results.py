"""Results on disk: one JSON file each, written by a run, and the only source of every printed figure."""

import json
from pathlib import Path
from typing import Any

FIELDS = ("value", "config", "versions", "hardware")


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        ValueError: If the file is no result of ours.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a result file ({error}); run `make reproduce`") from error


def table(folder: Path) -> str:
    """Lay out the results of a folder that carry a value: name, value, interval, what was measured.

    Raises:
        ValueError: If there are none.
    """
    rows = []
    for path in sorted(folder.glob("*.json")):
        result = read(path)
        if "value" in result:
            low, high = result.get("interval", (None, None))
            interval = "" if low is None else f"[{low}, {high}]"
            rows.append((path.stem, f"{result['value']}", interval, result.get("what", "")))
    if not rows:
        raise ValueError(f"{folder}: no results yet; run `make reproduce`")
    header = ("result", "value", "95% interval", "what")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, tuple("-" * width for width in widths), *rows)
    ]
    return "\n".join(lines)
