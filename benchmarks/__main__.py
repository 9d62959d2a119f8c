"""Run benchmarks and write their results to data/results/bench_NAME.json."""

import argparse
import importlib
import json
import time

from delfjax import provenance
from delfjax.paper.runs import RESULTS

BENCHMARKS = {
    "verification": "RANSAC: 100 candidates of a query, against one pair in scikit-image",
    "extraction": "ResNet-50 up to conv4, against Keras; a photo at seven scales",
    "neighbors": "exact search against a neighbor graph, by size of the database",
    "stores": "writing and reading features: the feature store against six file formats",
    "scale": "indexes of a million descriptors, against hnswlib, faiss and pynndescent",
    "costs": "time, memory and recall of each kind of index, from 3,000 to 10 million descriptors",
}


def main() -> None:
    """Run the benchmarks that the command line names, or all of them."""
    table = "\n".join(f"  {name:14}{measured}" for name, measured in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"benchmarks and what they measure:\n{table}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = [*BENCHMARKS, []]
    parser.add_argument("names", nargs="*", choices=choices, metavar="NAME", help="default: all")
    parser.add_argument("--largest", type=int, help="largest size that `costs` measures")
    options = parser.parse_args()
    for name in options.names or BENCHMARKS:
        start, command = time.perf_counter(), f"python -m benchmarks {name}"
        settings = {}
        if name == "costs" and options.largest:
            settings, command = (
                {"largest": options.largest},
                f"{command} --largest {options.largest}",
            )
        result = importlib.import_module(f"benchmarks.{name}").run(**settings)
        result |= provenance.describe(result["config"])
        result |= {"seconds": round(time.perf_counter() - start, 1), "command": command}
        provenance.write_result(RESULTS / f"bench_{name}.json", result)
        print(f"{name}: {result['value']}, {result['what']}")
        print(json.dumps(result["rows"], indent=2))


if __name__ == "__main__":
    main()
