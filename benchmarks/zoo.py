"""Compare the models of delfjax on real photos of scenes with known cameras.

The folder of photos has the layout of ``scenes`` in `benchmarks.verification_study`: one sub-folder per place,
and ``cameras/NAME.camera`` with the true camera of a photo. Every photo is a query, and the default
verification of searches verifies the 100 photos with the highest sum of votes. A pair of photos is *true* if the cameras look
at one place in directions that differ by less than 30 degrees, and *false* if the photos are of different
places and were verified. Other pairs do not count. A pair is *accepted* if its verdict is ``"same place"``.
"""

from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

import delfjax as dx
from benchmarks.verdict import is_true, wilson
from benchmarks.verification_study import RIGHT, Data, epipolar_distances, load_scenes
from delfjax.evaluation.metrics import score_rankings
from delfjax.images.reading import original_size
from delfjax.models.resnet import RESNET50_V1
from delfjax.models.zoo import zoo

LONGEST, FEATURES = 640, 500
COLUMNS = (
    "model",
    "mAP by view",
    "true pairs accepted",
    "false pairs accepted",
    "inliers that are right",
    "median epipolar error",
)


def check(model: str, data: Data) -> dict:
    """Search with every photo. Count the pairs that are accepted, and measure the inliers of true pairs."""
    names, pyramid = data.benchmark.database, dx.PyramidConfig(longest=LONGEST)
    config = dx.RunConfig(
        model=model,
        extraction=dx.ExtractionConfig(pyramid=pyramid, min_contrast=1.0),
        search=dx.SearchConfig(features=FEATURES),
    )
    evaluation = dx.evaluate(dx.load(model, config.extraction), data.benchmark, config)
    sizes = {name: original_size(data.benchmark.root / name) for name in data.cameras}
    accepted, tried, errors = {True: 0, False: 0}, {True: 0, False: 0}, []
    for query, result in zip(tqdm(names, model, unit="query"), evaluation.results, strict=True):
        verdicts = result.verdicts
        for image, other in enumerate(names):
            label = None if query == other else is_true(query, other, data.cameras)
            if label is None or (image not in verdicts and not label):
                continue
            tried[label] += 1
            if image not in verdicts:
                continue
            accepted[label] += verdicts[image].label == "same place"
            if label:
                inliers = result.matches[image][result.verifications[image].inliers]
                views = data.cameras[query], data.cameras[other]
                distances = epipolar_distances(inliers, *views, [sizes[query], sizes[other]])
                errors.append(distances / max(sizes[query]))
    by_view = score_rankings(
        [result.ranking.images for result in evaluation.results],
        data.benchmark.truths["view"],
        ks=(1,),
    )
    distances = np.concatenate(errors)
    return {
        "model": model,
        "mAP by view": round(100 * by_view.mean_average_precision, 1),
        "true pairs": tried[True],
        "true pairs accepted": wilson(accepted[True], tried[True]),
        "false pairs": tried[False],
        "false pairs accepted": wilson(accepted[False], tried[False]),
        "inliers": len(distances),
        "inliers that are right": round(100 * float(np.mean(distances <= RIGHT)), 1),
        "median epipolar error": round(100 * float(np.median(distances)), 2),
    }


def markdown(rows: list[dict]) -> str:
    """Return the result as a Markdown table."""

    def show(value: object) -> str:
        if isinstance(value, list):
            return f"{value[0]:.1f} [{value[1]:.1f}, {value[2]:.1f}]"
        return str(value)

    lines = [[*COLUMNS], ["---"] * len(COLUMNS)]
    lines += [[show(row[name]) for name in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run(photos: str) -> dict:
    """Check the ImageNet backbone of the paper and all models of the zoo on a folder of scenes."""
    data = load_scenes(Path(photos))
    rows = [check(model, data) for model in (RESNET50_V1.name, *zoo())]
    best = max(rows, key=lambda row: row["true pairs accepted"])
    return {
        "value": best["true pairs accepted"][0],
        "what": f"true pairs that {best['model']} accepts, in percent",
        "rows": rows,
        "config": {"longest": LONGEST, "features": FEATURES, "right": RIGHT},
    }
