"""The command ``delfjax match``, which matches two photos."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.cli.extract import check_unchanged, load_model, open_store
from delfjax.cli.options import (
    add_advanced_group,
    add_backend_option,
    add_extraction_options,
    add_json_option,
    add_model_options,
    add_number,
    add_ransac_options,
    extraction_config,
    ransac_config,
)
from delfjax.cli.output import check_outputs, print_result
from delfjax.images.reading import read_image
from delfjax.provenance import config_to_dict, describe
from delfjax.ranges import RATIO
from delfjax.search.matching import DISTANCE, MAX_DISTANCE
from delfjax.search.matching import match as match_features


def match_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax match``."""
    parser.add_argument("photos", nargs=2, type=Path, metavar="PHOTO", help="photos to match")
    store = "use the model and PCA of this feature store; by default, fit a PCA to the two photos"
    parser.add_argument("--store", type=Path, help=store)
    figure = "save a figure of the inliers to this file (.png, .pdf, ...)"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    add_model_options(parser, of_store=True)
    add_json_option(parser)
    advanced = add_advanced_group(parser)
    distance = "largest L2 distance between matching descriptors, 0 to 2"
    add_number(advanced, "--max-distance", MAX_DISTANCE, DISTANCE, distance)
    ratio = "largest ratio of the distances to the nearest and second nearest neighbor; 1 keeps all"
    add_number(advanced, "--ratio", 1.0, RATIO, ratio)
    add_backend_option(advanced)
    add_extraction_options(advanced)
    add_ransac_options(advanced)


def match(options: argparse.Namespace) -> int:
    """Run ``delfjax match``."""
    check_outputs(options)
    configured, ransac = extraction_config(options), ransac_config(options)
    if options.store:
        check_unchanged(options.store, configured)
    photos = [read_image(path) for path in options.photos]
    store = open_store(options.store) if options.store else None
    model, pca = load_model(options, configured, store), store.pca if store else None
    features = [model(photo) for photo in tqdm(photos, desc="extract", unit="photo")]
    limits = {"max_distance": options.max_distance, "ratio": options.ratio}
    pair = match_features(*features, pca=pca, **limits, ransac=ransac)
    result = {
        "photos": [str(path) for path in options.photos],
        "features": [len(each) for each in features],
        "matches": len(pair.matches),
        "inliers": pair.num_inliers,
        "verdict": asdict(pair.verdict),
        "affine": pair.affine.tolist() if pair.num_inliers else None,
        # y, x in the first photo and y, x in the second, for each match
        "coordinates": np.hstack([pair.matches.query, pair.matches.database]).tolist(),
        "is_inlier": pair.inliers.tolist(),
    }
    affine = "affine    none, because no matches agree"
    if pair.num_inliers:
        numbers = np.array2string(pair.affine, precision=4, suppress_small=True)
        affine = f"affine    from (y, x, 1) of the first photo to (y, x) of the second\n{numbers}"
    extraction, name = config_to_dict(model.config), model.name
    verification = asdict(ransac) | {"scale_aware": ransac.scale_aware is not False}
    config = {"model": name, "extraction": extraction, **limits, "ransac": verification}
    text = (
        f"features  {len(features[0])} and {len(features[1])}\n"
        f"matches   {len(pair.matches)}\n"
        f"inliers   {pair.num_inliers}\n"
        f"verdict   {pair.verdict.text}\n{affine}"
    )

    def save_figure() -> None:
        from delfjax import plots  # a slow import

        plots.matches(photos[0], photos[1], pair).save(options.figure)

    writers = {"--figure": save_figure} if options.figure else {}
    return print_result(options, result | describe(config), text, writers)
