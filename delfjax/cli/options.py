"""The options that commands share, and the configurations that they come to."""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from delfjax.evaluation.benchmark import CombinedConfig, Expansion
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig, Selection
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.handcrafted import SPECS as HANDCRAFTED
from delfjax.features.pyramid import PyramidConfig
from delfjax.geometry.ransac import MODELS, RansacConfig
from delfjax.models.pooling import POOLINGS
from delfjax.models.resnet import RESNET50_V1, RESNET50_V15
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import KINDS, IndexConfig, Value
from delfjax.search.searcher import SearchConfig


def weights_options(sub: argparse.ArgumentParser) -> None:
    """Add where weights come from."""
    sub.add_argument("--weights", type=Path, help="a weight file on disk, in place of a download")


def trained_options(sub: argparse.ArgumentParser) -> None:
    """Add where a network comes from: ImageNet weights, or a model trained here."""
    weights_options(sub)
    sub.add_argument(
        "--model", type=Path, help="a model that `train` wrote, in place of ImageNet's"
    )


def backbone_option(sub: argparse.ArgumentParser) -> None:
    """Add which backbone."""
    names = [RESNET50_V1.name, RESNET50_V15.name]
    sub.add_argument("--backbone", choices=names, default=names[0], help="the paper's is v1")


def model_options(sub: argparse.ArgumentParser) -> None:
    """Add the backbone, its weights, the pyramid and the selection."""
    backbone_option(sub)
    trained_options(sub)
    sub.add_argument(
        "--local", choices=sorted(HANDCRAFTED), help="handcrafted features in place of a network's"
    )
    sub.add_argument(
        "--selection", choices=get_args(Selection), help="default: attention where there is a head"
    )
    pyramid, extraction = PyramidConfig(), ExtractionConfig()
    sub.add_argument(
        "--longest", type=int, default=pyramid.longest, help="shrink longer sides to this"
    )
    sub.add_argument(
        "--max-features", type=int, default=extraction.max_features, help="of one photo"
    )
    sub.add_argument("--nms-iou", type=float, default=extraction.nms_iou, help="1 keeps all")


def pca_options(sub: argparse.ArgumentParser) -> None:
    """Add how the PCA is learned."""
    config = PCAConfig()
    sub.add_argument("--dimensions", type=int, default=config.dimensions, help="of the PCA")
    sub.add_argument("--whiten", action="store_true", help="whiten the PCA")
    sub.add_argument("--pca-seed", type=int, default=config.seed, help="of the PCA's sample")


def index_option(
    sub: argparse.ArgumentParser, kinds: Sequence[str] = ("auto", "exact", "nndescent")
) -> None:
    """Add the kind of index."""
    sub.add_argument("--index", choices=kinds, default="auto", help="auto: the faster one in all")


def index_options(sub: argparse.ArgumentParser) -> None:
    """Add the index of a benchmark: any kind, with settings of its own."""
    index_option(sub, ("auto", *KINDS))
    sub.add_argument(
        "--index-settings",
        nargs="+",
        type=_setting,
        default=[],
        metavar="NAME=VALUE",
        help="of that kind, such as beam=60 of nndescent, or parts=4 bits=5 of codes",
    )


def _setting(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    for read in (int, float):
        with suppress(ValueError):
            return name, read(value)
    return name, value


def index_config(options: argparse.Namespace) -> IndexConfig:
    """Return which index."""
    return IndexConfig(kind=options.index, settings=dict(options.index_settings))


def ransac_options(sub: argparse.ArgumentParser) -> None:
    """Add how matches are verified."""
    config = RansacConfig()
    sub.add_argument(
        "--residual", type=float, default=config.residual, help="of an inlier, in pixels"
    )
    sub.add_argument(
        "--hypotheses", type=int, default=config.hypotheses, help="models tried a photo"
    )
    sub.add_argument(
        "--transform", choices=[*MODELS], default=config.model, help="between two photos"
    )
    sub.add_argument("--seed", type=int, default=config.seed, help="of RANSAC")


def search_options(sub: argparse.ArgumentParser) -> None:
    """Add how queries are answered."""
    config = SearchConfig()
    sub.add_argument(
        "--neighbors", type=int, default=config.neighbors, help="nearest features asked for, K"
    )
    sub.add_argument(
        "--verified", type=int, default=config.verified, help="photos to verify a query"
    )
    sub.add_argument("--max-distance", type=float, default=config.max_distance, help="of neighbors")
    sub.add_argument(
        "--ratio",
        type=float,
        default=config.ratio,
        help="to the last neighbor's distance; 1 keeps all",
    )
    sub.add_argument("--features", type=int, help="use only a photo's best (default: all)")
    sub.add_argument(
        "--truncate", type=int, metavar="D", help="use only a descriptor's first dimensions"
    )
    ransac_options(sub)


def combined_options(sub: argparse.ArgumentParser) -> None:
    """Add what is put around the plain search."""
    group = sub.add_argument_group("around the search")
    group.add_argument(
        "--global",
        dest="pooling",
        choices=POOLINGS,
        help="global descriptors; alone, if neither --fuse nor --shortlist is given",
    )
    group.add_argument(
        "--global-scales",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="SCALE",
        help="of the photo",
    )
    group.add_argument(
        "--global-whiten",
        type=Path,
        metavar="FOLDER",
        help="of other photos, to learn a whitening of",
    )
    group.add_argument(
        "--global-dimensions", type=int, default=CombinedConfig().whitened, help="after whitening"
    )
    group.add_argument(
        "--fuse", type=float, metavar="WEIGHT", help="of inliers against similarity (paper: .25)"
    )
    group.add_argument(
        "--shortlist", type=int, metavar="N", help="verify the N most similar photos only"
    )
    group.add_argument("--expand", choices=get_args(Expansion), help="the query, and ask again")
    config = ExpansionConfig()
    group.add_argument(
        "--expand-photos", type=int, default=config.max_photos, help="that expand a query, at most"
    )
    group.add_argument(
        "--expand-inliers", type=int, default=config.min_inliers, help="that these have, at least"
    )


def combined_config(options: argparse.Namespace) -> CombinedConfig:
    """Return what is put around the plain search."""
    pooling = options.pooling and GlobalConfig(
        pooling=options.pooling, scales=tuple(options.global_scales), longest=options.longest
    )
    return CombinedConfig(
        pooling=pooling,
        whitened=options.global_dimensions,
        fuse=options.fuse,
        shortlist=options.shortlist,
        expand=options.expand,
        expansion=ExpansionConfig(
            max_photos=options.expand_photos, min_inliers=options.expand_inliers
        ),
    )


def json_option(sub: argparse.ArgumentParser) -> None:
    """Add where the result is written as JSON."""
    sub.add_argument(
        "--json", type=Path, help="write the result to this file; - is standard output"
    )


def pca_config(options: argparse.Namespace) -> PCAConfig:
    """Return how the PCA is learned."""
    return PCAConfig(
        dimensions=options.dimensions,
        whiten=options.whiten,
        seed=options.pca_seed,
        database=getattr(options, "database", "*"),  # of a benchmark: all of it
    )


def ransac_config(options: argparse.Namespace) -> RansacConfig:
    """Return how matches are verified."""
    return RansacConfig(
        residual=options.residual,
        model=options.transform,
        hypotheses=options.hypotheses,
        seed=options.seed,
    )


def search_config(options: argparse.Namespace) -> SearchConfig:
    """Return how queries are answered."""
    return SearchConfig(
        neighbors=options.neighbors,
        max_distance=options.max_distance,
        ratio=options.ratio,
        verified=options.verified,
        features=options.features,
        truncate=options.truncate,
        ransac=ransac_config(options),
    )
