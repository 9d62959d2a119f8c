"""Run the benchmarks named, or all: ``python -m benchmarks [verification] [stores] ...``."""

import argparse
import importlib
import json
import time
from pathlib import Path

from delfjax import results

NAMES = ("verification", "extraction", "neighbours", "stores", "scale")
FOLDER = Path(__file__).resolve().parents[1] / "data" / "results"

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
for name in parser.parse_args().names or NAMES:
    start = time.perf_counter()
    result = importlib.import_module(f"benchmarks.{name}").run()
    result |= results.circumstances(result["config"])
    result["seconds"] = round(time.perf_counter() - start, 1)
    result["command"] = f"python -m benchmarks {name}"
    results.write(FOLDER / f"bench_{name}.json", result)
    print(f"{name}: {result['value']}, {result['what']}")
    print(json.dumps(result["rows"], indent=2))
