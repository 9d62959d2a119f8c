"""Compare the speed of delfjax with that of other libraries for the same work.

`run` writes one list of rows to data/results/bench.json. Each part of it can be measured alone; the rows of
the other parts stay. Packages that are not installed are left out: onnx, onnxruntime, openvino, torch,
hnswlib and poselib are not dependencies of delfjax.
"""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed.race import Row
from delfjax import provenance

RESULT = provenance.RESULTS / "bench.json"
PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
PARTS = {
    "conv4": "the network up to conv4, at three sizes of the image",
    "extraction": "from a photo file to 1,000 features, at two sizes",
    "training": "one update of each training stage",
    "verification": "RANSAC of 100 candidates",
    "index": "building and searching a neighbor graph",
    "start": "starting the commands",
}


def run(parts: Sequence[str] = ()) -> list[Row]:
    """Measure some parts, by default all, and write the rows of all parts."""
    rows: list[Row] = json.loads(RESULT.read_text()) if RESULT.exists() else []
    for part in parts or PARTS:
        measured = importlib.import_module(f"benchmarks.speed.{part}").run()
        stamp = {"part": part, "machine": provenance.hardware(), "versions": provenance.versions()}
        kept = [row for row in rows if row["part"] != part] + [stamp | row for row in measured]
        rows = sorted(kept, key=lambda row: list(PARTS).index(row["part"]))
        provenance.write_result(RESULT, rows)
        print(markdown(measured), flush=True)
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown."""
    lines = [
        "| work | ours | peer | ours | peer | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        values = (f"{value:.3g} {row['unit']}" for value in row["values"])
        cells = row["work"], row["ours"], row["peer"], *values, f"{row['ratio']:.2f}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
