"""Options that several commands share, and the configurations that they make."""

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
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the result as JSON; - is standard output"
    )


def add_model_options(parser: argparse.ArgumentParser, default: str | None = DEFAULT_MODEL) -> None:
    """Add the options that choose the model."""
    parser.add_argument(
        "--model",
        default=default,
        metavar="NAME",
        help=f"model: a file that `train` wrote, or one of {', '.join(model_names())}",
    )
    weights = "file with the weights of an ImageNet backbone, instead of a download"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=weights)


def add_extraction_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the image pyramid and of the selection of features."""
    pyramid, extraction = PyramidConfig(), ExtractionConfig()
    selection = "score that selects features (default: attention if the model has it, else norm)"
    parser.add_argument("--selection", choices=get_args(Selection), help=selection)
    _add(parser, "--longest", pyramid.longest, "longest side of a photo in pixels")
    _add(parser, "--max-features", extraction.max_features, "features per photo")
    nms = "overlap above which the weaker of two features is dropped; 1 keeps all"
    _add(parser, "--nms-iou", extraction.nms_iou, nms)


def add_pca_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the PCA of local descriptors."""
    config = PCAConfig()
    _add(parser, "--dimensions", config.dimensions, "dimensions after the PCA")
    parser.add_argument("--whiten", action="store_true", help="whiten the PCA")
    _add(parser, "--pca-seed", config.seed, "seed of the photos that the PCA uses")


def add_index_options(parser: argparse.ArgumentParser, *, settings: bool = True) -> None:
    """Add the option of the kind of index, and those of its settings."""
    kinds = "kind of index; auto: exact search, and nndescent for a very large database"
    parser.add_argument("--index", choices=("auto", *KINDS), default="auto", help=kinds)
    if settings:
        parser.add_argument(
            "--index-settings",
            nargs="+",
            type=_setting,
            default=[],
            metavar="NAME=VALUE",
            help="settings of that kind, such as beam=60 of nndescent, or parts=4 bits=5 of pq",
        )


def add_ransac_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of geometric verification."""
    config = RansacConfig()
    residual = "inlier threshold: largest distance of an inlier from the model, in pixels"
    _add(parser, "--residual", config.residual, residual)
    _add(parser, "--hypotheses", config.hypotheses, "RANSAC samples per pair of photos")
    transform = "model between two photos"
    parser.add_argument("--transform", choices=[*MODELS], default=config.model, help=transform)
    _add(parser, "--seed", config.seed, "seed of RANSAC")


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of votes and verification."""
    config = SearchConfig()
    _add(parser, "--neighbors", config.neighbors, "nearest neighbors of each query feature, K")
    verified = "photos with the most votes that are verified; 0 ranks by votes alone"
    _add(parser, "--verified", config.verified, verified)
    _add(parser, "--max-distance", config.max_distance, "largest distance of a neighbor")
    ratio = "largest ratio of a neighbor's distance to the K-th neighbor's; 1 keeps all"
    _add(parser, "--ratio", config.ratio, ratio)
    parser.add_argument("--features", type=int, help="best features used per photo (default: all)")
    parser.add_argument("--truncate", type=int, help="first dimensions used (default: all)")
    add_ransac_options(parser)


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of global descriptors, late fusion and query expansion."""
    expansion, run = ExpansionConfig(), RunConfig()
    group = parser.add_argument_group("optional stages")
    pooling = "use global descriptors; alone, unless --fuse or --shortlist is given"
    group.add_argument("--global", dest="pooling", choices=POOLINGS, help=pooling)
    scales = "scales of the photo for global descriptors"
    group.add_argument("--global-scales", type=float, nargs="+", default=[1.0], help=scales)
    whiten = "folder of other photos to learn a whitening from; 'rendered': the rendered ones"
    group.add_argument("--global-whiten", metavar="FOLDER", help=whiten)
    _add(group, "--global-dimensions", run.whitening_dimensions, "dimensions after the whitening")
    fuse = "fuse inliers and similarity with this weight of the inliers (paper: 0.25)"
    group.add_argument("--fuse", type=float, metavar="WEIGHT", help=fuse)
    group.add_argument(
        "--shortlist", type=int, metavar="N", help="verify the N most similar photos"
    )
    expand = "expand the query and search again"
    group.add_argument("--expand", choices=get_args(ExpansionKind), help=expand)
    _add(group, "--expand-photos", expansion.max_photos, "most photos that expand a query")
    inliers = "fewest inliers of a photo that expands a query"
    _add(group, "--expand-inliers", expansion.min_inliers, inliers)


def _add(parser: argparse._ActionsContainer, name: str, default: float, text: str) -> None:
    """Add an option that has the type of its default."""
    parser.add_argument(name, type=type(default), default=default, help=text)


def extraction_config(options: argparse.Namespace) -> ExtractionConfig:
    """Make the configuration of pyramid and selection."""
    return ExtractionConfig(
        pyramid=PyramidConfig(longest=options.longest),
        selection=options.selection,
        max_features=options.max_features,
        nms_iou=options.nms_iou,
    )


def pca_config(options: argparse.Namespace, database: str = "*") -> PCAConfig:
    """Make the configuration of the PCA.

    Args:
        options: Parsed options.
        database: Pattern of the file names from which the PCA may be learned.
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
    """Make the configuration of votes and verification."""
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
