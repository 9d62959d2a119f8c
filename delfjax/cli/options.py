"""Options that several commands share, and functions that turn options into configurations."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from delfjax.evaluation.config import RunConfig
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig, Selection
from delfjax.features.factory import DEFAULT_MODEL, model_names
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.pyramid import PyramidConfig
from delfjax.geometry.ransac import MODELS, RansacConfig
from delfjax.models.pooling import POOLINGS
from delfjax.search.expansion import ExpansionConfig, ExpansionKind
from delfjax.search.index import EXACT_LIMIT, KINDS, IndexConfig, Value
from delfjax.search.searcher import SearchConfig


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that writes the result as JSON."""
    result = "write the result to this file as JSON; - is standard output"
    parser.add_argument("--json", type=Path, metavar="FILE", help=result)


def add_model_options(parser: argparse.ArgumentParser, default: str | None = DEFAULT_MODEL) -> None:
    """Add the options that choose the model."""
    parser.add_argument(
        "--model",
        default=default,
        metavar="NAME",
        help=f"model: a file that `delfjax train` wrote, or one of {', '.join(model_names())}",
    )
    weights = "read the weights of the ImageNet backbone from this file instead of downloading them"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=weights)


def add_extraction_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the image pyramid and the selection of features."""
    add = parser.add_argument
    pyramid, extraction = PyramidConfig(), ExtractionConfig()
    selection = "score that selects features; by default attention if the model has it, else norm"
    add("--selection", choices=get_args(Selection), help=selection)
    longest = "shrink larger photos so that the longest side has this many pixels"
    add_value(add, "--longest", pyramid.longest, longest)
    add_value(
        add, "--max-features", extraction.max_features, "maximum number of features per photo"
    )
    nms = "drop features that overlap a better one by more than this intersection over union; 1: keep all"
    add_value(add, "--nms-iou", extraction.nms_iou, nms)


def add_pca_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the PCA of local descriptors."""
    add = parser.add_argument
    config = PCAConfig()
    add_value(add, "--dimensions", config.dimensions, "dimensions of a descriptor after the PCA")
    whiten = "divide each dimension by its standard deviation after the PCA"
    add("--whiten", action="store_true", help=whiten)
    seed = "random seed for the choice of photos and features from which the PCA is learned"
    add_value(add, "--pca-seed", config.seed, seed)


def add_index_options(parser: argparse.ArgumentParser, *, settings: bool = True) -> None:
    """Add the option for the kind of index and, with ``settings``, the option for its settings."""
    kinds = f"kind of index; auto is exact for up to {EXACT_LIMIT:,} descriptors, else nndescent"
    parser.add_argument("--index", "--kind", choices=("auto", *KINDS), default="auto", help=kinds)
    if settings:
        text = "settings of the index, such as beam=60 for nndescent or parts=4 bits=5 for pq"
        style = {"nargs": "+", "default": [], "metavar": "NAME=VALUE"}
        parser.add_argument("--index-settings", type=_setting, help=text, **style)


def add_ransac_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for geometric verification."""
    add = parser.add_argument
    config = RansacConfig()
    residual = "inlier threshold: largest distance from a mapped point to its match, in pixels"
    add_value(add, "--residual", config.residual, residual)
    samples = "number of random samples of matches that RANSAC draws per pair of photos"
    add_value(add, "--hypotheses", config.hypotheses, samples)
    transform = "kind of map that RANSAC fits between two photos"
    add("--transform", choices=[*MODELS], default=config.model, help=transform)
    add_value(add, "--seed", config.seed, "random seed of RANSAC")


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for voting by local features and for geometric verification."""
    add = parser.add_argument
    config = SearchConfig()
    neighbors = "number K of nearest database features that are found for each query feature"
    add_value(add, "--neighbors", config.neighbors, neighbors)
    verified = "number of photos with the most votes that RANSAC verifies; 0 ranks by votes alone"
    add_value(add, "--verified", config.verified, verified)
    distance = "largest L2 distance from a query descriptor to the descriptor of a neighbor"
    add_value(add, "--max-distance", config.max_distance, distance)
    ratio = (
        "largest ratio of the distances of a neighbor and the K-th neighbor; 1 keeps all neighbors"
    )
    add_value(add, "--ratio", config.ratio, ratio)
    features = "maximum number of features per photo; the best are used; by default all"
    add("--features", type=int, metavar="N", help=features)
    truncate = "use only the first N dimensions of each descriptor; by default all"
    add("--truncate", type=int, metavar="N", help=truncate)
    add_ransac_options(parser)


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for global descriptors, late fusion and query expansion."""
    expansion, run = ExpansionConfig(), RunConfig()
    add = parser.add_argument_group("optional stages").add_argument
    pooling = (
        "rank by global descriptors of this kind; local features also need --fuse or --shortlist"
    )
    add("--global", dest="pooling", choices=POOLINGS, help=pooling)
    scales = "scale factors of the photo; the descriptors at all scales are added"
    add("--global-scales", dest="scales", type=float, nargs="+", default=[1.0], help=scales)
    whiten = "learn a whitening from this folder of other photos; 'rendered' is the rendered training set"
    add("--global-whiten", dest="whitening", metavar="FOLDER", help=whiten)
    dimensions = "dimensions of a global descriptor after --global-whiten"
    default = run.whitening_dimensions
    add_value(add, "--global-dimensions", default, dimensions, dest="whitening_dimensions")
    fuse = "rank by a mean of inliers and similarity, with this weight of inliers, 0 to 1 (paper: 0.25)"
    add("--fuse", dest="fusion_weight", type=float, metavar="WEIGHT", help=fuse)
    shortlist = "re-rank the N most similar photos by local features with geometric verification"
    add("--shortlist", type=int, metavar="N", help=shortlist)
    expand = "add the local features or global descriptors of the best results to the query; search again"
    add("--expand", dest="kind", choices=get_args(ExpansionKind), help=expand)
    photos = "largest number of photos for --expand"
    add_value(add, "--expand-photos", expansion.max_photos, photos, dest="max_photos")
    inliers = "smallest number of inliers of a verified photo for --expand"
    add_value(add, "--expand-inliers", expansion.min_inliers, inliers, dest="min_inliers")


def add_value(
    add: Callable[..., argparse.Action], name: str, default: float, text: str, **settings: str
) -> None:
    """Add an option by the method ``add`` of a parser. Its values have the type of its default."""
    add(name, type=type(default), default=default, help=text, **settings)


def extraction_config(options: argparse.Namespace) -> ExtractionConfig:
    """Make the configuration of the image pyramid and the selection of features."""
    pyramid = PyramidConfig(longest=options.longest)
    names = ("selection", "max_features", "nms_iou")
    return ExtractionConfig(pyramid=pyramid, **_values(options, *names))


def pca_config(options: argparse.Namespace) -> PCAConfig:
    """Make the configuration of the PCA of local descriptors."""
    return PCAConfig(seed=options.pca_seed, **_values(options, "dimensions", "whiten"))


def ransac_config(options: argparse.Namespace) -> RansacConfig:
    """Make the configuration of geometric verification."""
    names = ("residual", "hypotheses", "seed")
    return RansacConfig(model=options.transform, **_values(options, *names))


def search_config(options: argparse.Namespace) -> SearchConfig:
    """Make the configuration of the search by local features: votes and verification."""
    names = ("neighbors", "max_distance", "ratio", "verified", "features", "truncate")
    return SearchConfig(ransac=ransac_config(options), **_values(options, *names))


def run_config(options: argparse.Namespace) -> RunConfig:
    """Make the configuration of an evaluation."""
    descriptor = options.pooling and GlobalConfig(
        scales=tuple(options.scales), **_values(options, "pooling", "longest")
    )
    expansion = options.kind and ExpansionConfig(
        **_values(options, "kind", "max_photos", "min_inliers")
    )
    names = ("model", "whitening", "whitening_dimensions", "fusion_weight", "shortlist")
    return RunConfig(
        extraction=extraction_config(options),
        pca=pca_config(options),
        index=IndexConfig(kind=options.index, settings=dict(options.index_settings)),
        search=search_config(options),
        global_descriptor=descriptor,
        expansion=expansion,
        **_values(options, *names),
    )


def _values(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the values of some options, by name."""
    return {name: getattr(options, name) for name in names}


def _setting(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(value)
    return name, value
