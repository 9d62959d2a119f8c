"""Run the benchmarks named, or all: ``python -m benchmarks [verification] [stores] ...``."""

import argparse
import importlib
import json
import time
from pathlib import Path

from delfjax import provenance

NAMES = ("verification", "extraction", "neighbors", "stores", "scale", "costs")
FOLDER = Path(__file__).resolve().parents[1] / "data" / "results"

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
parser.add_argument("--largest", type=int, help="of costs: the most descriptors that are tried")
options = parser.parse_args()
for name in options.names or NAMES:
    start = time.perf_counter()
    limits = {"largest": options.largest} if name == "costs" and options.largest else {}
    result = importlib.import_module(f"benchmarks.{name}").run(**limits)
    result |= provenance.describe(result["config"])
    result["seconds"] = round(time.perf_counter() - start, 1)
    words = [f" --{key} {value}" for key, value in limits.items()]
    result["command"] = f"python -m benchmarks {name}{''.join(words)}"
    provenance.write_result(FOLDER / f"bench_{name}.json", result)
    print(f"{name}: {result['value']}, {result['what']}")
    print(json.dumps(result["rows"], indent=2))
