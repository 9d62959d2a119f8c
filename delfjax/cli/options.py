"""Options that several commands share, and functions that turn options into configurations."""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import get_args

from delfjax.evaluation.config import RunConfig
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig, Selection
from delfjax.features.factory import DEFAULT_MODEL, model_names
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.pyramid import PyramidConfig
from delfjax.geometry.ransac import MODELS, RansacConfig
from delfjax.models.pooling import POOLINGS
from delfjax.search.expansion import ExpansionConfig, ExpansionKind
from delfjax.search.index import KINDS, IndexConfig, Value
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
    pyramid, extraction = PyramidConfig(), ExtractionConfig()
    selection = "score that selects features; None is attention if the model has it, else norm"
    parser.add_argument("--selection", choices=get_args(Selection), help=selection)
    longest = "shrink larger photos so that the longest side has this many pixels"
    _add(parser, "--longest", pyramid.longest, longest)
    _add(parser, "--max-features", extraction.max_features, "maximum number of features per photo")
    nms = "drop features that overlap a better one by more than this intersection over union; 1: keep all"
    _add(parser, "--nms-iou", extraction.nms_iou, nms)


def add_pca_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the PCA of local descriptors."""
    config = PCAConfig()
    _add(parser, "--dimensions", config.dimensions, "dimensions of a descriptor after the PCA")
    whiten = "divide each dimension by its standard deviation after the PCA"
    parser.add_argument("--whiten", action="store_true", help=whiten)
    seed = "random seed for the choice of photos and features from which the PCA is learned"
    _add(parser, "--pca-seed", config.seed, seed)


def add_index_options(parser: argparse.ArgumentParser, *, settings: bool = True) -> None:
    """Add the option for the kind of index and, with ``settings``, the option for its settings."""
    kinds = "kind of index; auto is exact search, or nndescent if the database is very large"
    parser.add_argument("--index", choices=("auto", *KINDS), default="auto", help=kinds)
    if settings:
        parser.add_argument(
            "--index-settings",
            nargs="+",
            type=_setting,
            default=[],
            metavar="NAME=VALUE",
            help="settings of the index, such as beam=60 for nndescent or parts=4 bits=5 for pq",
        )


def add_ransac_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for geometric verification."""
    config = RansacConfig()
    residual = "inlier threshold: largest distance from a mapped point to its match, in pixels"
    _add(parser, "--residual", config.residual, residual)
    samples = "number of random samples of matches that RANSAC draws per pair of photos"
    _add(parser, "--hypotheses", config.hypotheses, samples)
    transform = "kind of map that RANSAC fits between two photos"
    parser.add_argument("--transform", choices=[*MODELS], default=config.model, help=transform)
    _add(parser, "--seed", config.seed, "random seed of RANSAC")


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for voting by local features and for geometric verification."""
    config = SearchConfig()
    neighbors = "number K of nearest database features that are found for each query feature"
    _add(parser, "--neighbors", config.neighbors, neighbors)
    verified = "number of photos with the most votes that RANSAC verifies; 0 ranks by votes alone"
    _add(parser, "--verified", config.verified, verified)
    distance = "largest L2 distance from a query descriptor to the descriptor of a neighbor"
    _add(parser, "--max-distance", config.max_distance, distance)
    ratio = (
        "largest ratio of the distances of a neighbor and the K-th neighbor; 1 keeps all neighbors"
    )
    _add(parser, "--ratio", config.ratio, ratio)
    features = "maximum number of features per photo; the best are used; None is all"
    parser.add_argument("--features", type=int, metavar="N", help=features)
    truncate = "use only the first N dimensions of each descriptor; None is all"
    parser.add_argument("--truncate", type=int, metavar="N", help=truncate)
    add_ransac_options(parser)


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for global descriptors, late fusion and query expansion."""
    expansion, run = ExpansionConfig(), RunConfig()
    group = parser.add_argument_group("optional stages")
    pooling = (
        "rank by global descriptors of this kind; local features also need --fuse or --shortlist"
    )
    group.add_argument("--global", dest="pooling", choices=POOLINGS, help=pooling)
    scales = "scale factors of the photo; the descriptors at all scales are added"
    group.add_argument("--global-scales", type=float, nargs="+", default=[1.0], help=scales)
    whiten = "learn a whitening from this folder of other photos; 'rendered' is the rendered training set"
    group.add_argument("--global-whiten", metavar="FOLDER", help=whiten)
    dimensions = "dimensions of a global descriptor after --global-whiten"
    _add(group, "--global-dimensions", run.whitening_dimensions, dimensions)
    fuse = "rank by a mean of inliers and similarity, with this weight of inliers, 0 to 1 (paper: 0.25)"
    group.add_argument("--fuse", type=float, metavar="WEIGHT", help=fuse)
    shortlist = "re-rank the N most similar photos by local features with geometric verification"
    group.add_argument("--shortlist", type=int, metavar="N", help=shortlist)
    expand = "add the local features or global descriptors of the best results to the query; search again"
    group.add_argument("--expand", choices=get_args(ExpansionKind), help=expand)
    _add(group, "--expand-photos", expansion.max_photos, "largest number of photos for --expand")
    inliers = "smallest number of inliers of a verified photo for --expand"
    _add(group, "--expand-inliers", expansion.min_inliers, inliers)


def _add(parser: argparse._ActionsContainer, name: str, default: float, text: str) -> None:
    """Add an option. Its values have the type of its default."""
    parser.add_argument(name, type=type(default), default=default, help=text)


def extraction_config(options: argparse.Namespace) -> ExtractionConfig:
    """Make the configuration of the image pyramid and the selection of features."""
    return ExtractionConfig(
        pyramid=PyramidConfig(longest=options.longest),
        selection=options.selection,
        max_features=options.max_features,
        nms_iou=options.nms_iou,
    )


def pca_config(options: argparse.Namespace, database: str = "*") -> PCAConfig:
    """Make the configuration of the PCA of local descriptors.

    Args:
        options: Parsed options.
        database: Pattern of the file names of the photos that the PCA may be learned from.
    """
    return PCAConfig(
        dimensions=options.dimensions,
        whiten=options.whiten,
        seed=options.pca_seed,
        database=database,
    )


def ransac_config(options: argparse.Namespace) -> RansacConfig:
    """Make the configuration of geometric verification."""
    return RansacConfig(
        residual=options.residual,
        model=options.transform,
        hypotheses=options.hypotheses,
        seed=options.seed,
    )


def search_config(options: argparse.Namespace) -> SearchConfig:
    """Make the configuration of the search by local features: votes and verification."""
    return SearchConfig(
        neighbors=options.neighbors,
        max_distance=options.max_distance,
        ratio=options.ratio,
        verified=options.verified,
        features=options.features,
        truncate=options.truncate,
        ransac=ransac_config(options),
    )


def run_config(options: argparse.Namespace) -> RunConfig:
    """Make the configuration of an evaluation."""
    descriptor = options.pooling and GlobalConfig(
        pooling=options.pooling, scales=tuple(options.global_scales), longest=options.longest
    )
    expansion = options.expand and ExpansionConfig(
        kind=options.expand,
        max_photos=options.expand_photos,
        min_inliers=options.expand_inliers,
    )
    return RunConfig(
        model=options.model,
        extraction=extraction_config(options),
        pca=pca_config(options),
        index=IndexConfig(kind=options.index, settings=dict(options.index_settings)),
        search=search_config(options),
        global_descriptor=descriptor,
        whitening=options.global_whiten,
        whitening_dimensions=options.global_dimensions,
        fusion_weight=options.fuse,
        shortlist=options.shortlist,
        expansion=expansion,
    )


def _setting(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(value)
    return name, value
