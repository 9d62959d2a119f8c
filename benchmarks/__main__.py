"""Run benchmarks. The result of benchmark NAME is written to data/results/bench_NAME.json."""

import argparse
import importlib
import json
import time

from delfjax import provenance

BENCHMARKS = {
    "verification": "time of our RANSAC on 100 pairs of photos and of scikit-image on one pair",
    "verification_study": "mAP of rules of verification, on the rendered set and --photos",
    "extraction": "time of our ResNet-50 up to layer conv4 and of the same layers in Keras",
    "backends": "time from a photo to features: both backends, and plain pipelines of other libraries",
    "neighbors": "time of exact search and of a neighbor graph, at three sizes of the database",
    "stores": "time to write and read features, in our feature store and in other file formats",
    "scale": "our indexes of a million descriptors and those of hnswlib, faiss and pynndescent",
    "costs": "time, memory and recall of each kind of index, from 3,000 to 10 million descriptors",
    "damaged": "what readers do with damaged files of each kind, of 7,000 trials (a few minutes)",
    "soak": "2,000 photos extracted, indexed and searched while processes are killed (20 minutes)",
}


def main() -> None:
    """Run the benchmarks that the command line names, or all of them."""
    table = "\n".join(f"  {name:20}{measured}" for name, measured in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"benchmarks, and what each of them measures:\n{table}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = [*BENCHMARKS, []]
    parser.add_argument(
        "names", nargs="*", choices=choices, metavar="NAME", help="benchmarks to run (default: all)"
    )
    parser.add_argument(
        "--largest",
        type=int,
        help="largest number of descriptors that the benchmark costs measures (default: 10 million)",
    )
    parser.add_argument(
        "--photos", help="folder of real photos of the benchmark verification_study; see its file"
    )
    options = parser.parse_args()
    for name in options.names or BENCHMARKS:
        start, command = time.perf_counter(), f"python -m benchmarks {name}"
        settings: dict[str, object] = {}
        if name == "costs" and options.largest:
            settings["largest"] = options.largest
            command += f" --largest {options.largest}"
        if name == "verification_study" and options.photos:
            settings["photos"] = options.photos
            command += " --photos FOLDER"
        result = importlib.import_module(f"benchmarks.{name}").run(**settings)
        result |= provenance.describe(result["config"])
        result |= {"seconds": round(time.perf_counter() - start, 1), "command": command}
        # The committed result of the study also has real photos. A run without them is only printed.
        if name != "verification_study" or options.photos:
            provenance.write_result(provenance.RESULTS / f"bench_{name}.json", result)
        print(f"{name}: {result['value']}, {result['what']}")
        print(json.dumps(result["rows"], indent=2))


if __name__ == "__main__":
    main()
