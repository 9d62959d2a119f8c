"""Compare the speed of delfjax with that of other libraries for the same work.

`run` writes one list of rows to data/results/bench.json. Each part of it can be measured alone; the rows of
the other parts stay. Libraries that are not installed are left out. Some of them are not dependencies of
delfjax.
"""

import importlib
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec

from benchmarks.speed.race import Row
from delfjax import provenance

RESULT = provenance.RESULTS / "bench.json"
PACKAGES = {  # peers, with the modules that they provide
    "faiss-cpu": "faiss",
    "hnswlib": "hnswlib",
    "onnxruntime": "onnxruntime",
    "opencv-python-headless": "cv2",
    "openvino": "openvino",
    "poselib": "poselib",
    "pynndescent": "pynndescent",
    "scikit-image": "skimage",
    "torch": "torch",
}
PARTS = {
    "conv4": "the network up to conv4, at three sizes of the image",
    "extraction": "from a photo file to 1,000 features, at two sizes",
    "training": "one update of each training stage",
    "verification": "RANSAC of 100 candidates",
    "index": "building and searching a neighbor graph",
    "start": "starting the commands",
}


def run(parts: Sequence[str]) -> None:
    """Measure some parts, and write their rows. The rows of the other parts stay."""
    rows: list[Row] = provenance.read_result(RESULT)["rows"] if RESULT.exists() else []
    for part in parts:
        measured = importlib.import_module(f"benchmarks.speed.{part}").run()
        if not measured:
            print(f"{part}: not measured, because no other library is installed")
            continue
        stamp = {"part": part, "machine": provenance.hardware(), "versions": versions()}
        kept = [row for row in rows if row["part"] != part] + [stamp | row for row in measured]
        rows = sorted(kept, key=lambda row: list(PARTS).index(row["part"]))
        provenance.write_result(RESULT, {"rows": rows})
        print(markdown(measured), flush=True)


def versions() -> dict[str, str]:
    """Return the versions of delfjax, of the libraries it needs, and of the installed peers."""
    installed = {name: metadata.version(name) for name in PACKAGES if find_spec(PACKAGES[name])}
    return provenance.versions() | installed


def markdown(rows: Sequence[Row]) -> str:
    """Return rows of one part as a table in Markdown, with a column of ratios for each peer."""
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    lines = [["work", "delfjax", "its time or memory", *peers], ["---"] * (3 + len(peers))]
    for work, ours in dict.fromkeys((row["work"], row["ours"]) for row in rows):
        group = {row["peer"]: row for row in rows if (row["work"], row["ours"]) == (work, ours)}
        first = next(iter(group.values()))
        ratios = (f"{group[peer]['ratio']:.3g}" if peer in group else "" for peer in peers)
        lines.append([work, ours, f"{first['values'][0]:.3g} {first['unit']}", *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
