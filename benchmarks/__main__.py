"""Compare the speed of delfjax with other libraries, or run one of the studies.

Without a name, or with the names of parts, the result is data/results/bench.json. The result of a study
NAME is data/results/bench_NAME.json.
"""

import argparse
import importlib
import json
import time

from benchmarks import speed
from delfjax import provenance

STUDIES = {
    "verification_study": "mAP of rules of verification, on the rendered set and --photos",
    "verdict": "fit the verdict of a pair to the rendered training set; its errors, on --photos",
    "differences": "mAP with some choices of the paper and the official code (90 minutes)",
    "zoo": "the models of delfjax on scenes with known cameras, which --photos names",
    "scale": "our indexes of a million descriptors and those of hnswlib, faiss and pynndescent",
    "costs": "time, memory and recall of each kind of index, from 3,000 to 10 million descriptors",
    "growth": "memory, time and compilations of an extraction, from 100 to 2,000 photos",
    "damaged": "what readers do with damaged files of each kind, of 6,600 trials (a few minutes)",
    "soak": "2,000 photos extracted, indexed and searched while processes are killed (20 minutes)",
    "gpu": "photos and updates per second on this device, and the share of its measured rate",
}
WITH_PHOTOS = ("verification_study", "verdict", "zoo")  # studies that use real photos


def main() -> None:
    """Run what the command line names: parts of the comparison, or studies."""
    lists = [
        f"{title}:\n" + "\n".join(f"  {name:20}{what}" for name, what in entries.items())
        for title, entries in (("parts", speed.PARTS), ("studies", STUDIES))
    ]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n\n".join(lists),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = [*speed.PARTS, *STUDIES, []]
    parser.add_argument(
        "names", nargs="*", choices=choices, metavar="NAME", help="default: all parts"
    )
    parser.add_argument(
        "--largest",
        type=int,
        help="largest number of descriptors that the study costs measures (default: 10 million)",
    )
    parser.add_argument("--photos", help=f"folder of real photos for {', '.join(WITH_PHOTOS)}")
    options = parser.parse_args()
    if "zoo" in options.names and not options.photos:
        parser.error("the study zoo needs --photos FOLDER")
    if parts := [name for name in options.names or speed.PARTS if name in speed.PARTS]:
        speed.run(parts)
    for name in options.names:
        if name in speed.PARTS:
            continue
        start, command = time.perf_counter(), f"python -m benchmarks {name}"
        settings: dict[str, object] = {}
        if name == "costs" and options.largest:
            settings["largest"] = options.largest
            command += f" --largest {options.largest}"
        if name in WITH_PHOTOS and options.photos:
            settings["photos"] = options.photos
            command += " --photos FOLDER"
        result = importlib.import_module(f"benchmarks.{name}").run(**settings)
        result |= provenance.describe(result["config"])
        result |= {"seconds": round(time.perf_counter() - start, 1), "command": command}
        # The committed results of these studies also have real photos. A run without them is only printed.
        if name not in WITH_PHOTOS or options.photos:
            provenance.write_result(provenance.RESULTS / f"bench_{name}.json", result)
        print(f"{name}: {result['value']}, {result['what']}")
        print(json.dumps(result["rows"], indent=2))


if __name__ == "__main__":
    main()
