"""Options that several commands share, and functions that turn options into configurations."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from delfjax.cli.output import UsageError
from delfjax.evaluation.config import RunConfig
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import Backend, ExtractionConfig, Selection
from delfjax.features.factory import DEFAULT_MODEL, model_names
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.handcrafted import NAMES as HANDCRAFTED
from delfjax.features.pyramid import PyramidConfig, Resizing
from delfjax.geometry.ransac import RansacConfig
from delfjax.models.pooling import POOLINGS
from delfjax.ranges import Range, check_change, check_number
from delfjax.search.expansion import ExpansionConfig, ExpansionKind
from delfjax.search.index import EXACT_LIMIT, KINDS, IndexConfig, Value
from delfjax.search.searcher import Score, SearchConfig

# Options of ExtractionConfig without effect on features that no network computes.
NETWORK_OPTIONS = ("selection", "nms_iou", "min_contrast", "min_score", "cell_step")


def add_advanced_group(parser: argparse.ArgumentParser) -> argparse._ActionsContainer:
    """Add the group of the options that most users do not need."""
    return parser.add_argument_group("advanced options")


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that writes the result as JSON."""
    result = "write the result to this file as JSON; - is standard output"
    parser.add_argument("--json", type=Path, metavar="FILE", help=result)


def add_model_options(parser: argparse._ActionsContainer, *, of_store: bool = False) -> None:
    """Add the options that choose the model. ``of_store``: by default the model of a store."""
    model = f"path of a model file, or one of {', '.join(model_names())}"
    if of_store:
        model += f"; by default the model of the store, else {DEFAULT_MODEL}"
    default = None if of_store else DEFAULT_MODEL
    parser.add_argument("--model", default=default, metavar="NAME", help=model)
    weights = "read the weights of the ImageNet backbone from this file instead of downloading them"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=weights)


def add_backend_option(parser: argparse._ActionsContainer) -> None:
    """Add the option for the library that runs the network."""
    text = "library that runs the network; openvino, an extra, is faster on CPUs"
    parser.add_argument("--backend", choices=get_args(Backend), default="jax", help=text)


def add_extraction_options(parser: argparse._ActionsContainer) -> None:
    """Add the options for the image pyramid and the selection of features."""
    selection = "score that selects features; by default attention if the model has it, else norm"
    parser.add_argument("--selection", choices=get_args(Selection), help=selection)
    longest = "shrink larger photos so that the longest side has this many pixels"
    add_value(parser, PyramidConfig(), "longest", longest)
    add = partial(add_value, parser, ExtractionConfig())
    add("max_features", "maximum number of features per photo")
    nms = "drop a feature if its intersection over union with a better feature exceeds this value; 1 keeps all"
    add("nms_iou", nms)
    contrast = (
        "minimum contrast around a feature, in gray levels; 0 keeps features of empty areas; the default "
        "is 1, and 0 (as in the official code) in evaluations"
    )
    add("min_contrast", contrast)
    add(
        "min_score",
        "minimum score of a feature; by default 0, and 100 in the official configuration of DELF",
    )
    step = "use every n-th row and column of conv4; the official network of DELF uses 2, a stride of 32 pixels"
    add("cell_step", step)
    resizing = "how photos are resized; tensorflow1 is the method of the official code of DELF"
    choices, default = get_args(Resizing), PyramidConfig().resizing
    parser.add_argument("--resizing", choices=choices, default=default, help=resizing)


def add_pca_options(parser: argparse._ActionsContainer) -> None:
    """Add the options for the PCA of local descriptors."""
    add = partial(add_value, parser, PCAConfig())
    add("dimensions", "dimensions of a descriptor after the PCA")
    whiten = "divide each dimension by its standard deviation after the PCA"
    boolean = argparse.BooleanOptionalAction
    parser.add_argument("--whiten", action=boolean, default=PCAConfig().whiten, help=whiten)
    seed = "random seed for the choice of photos and features from which the PCA is learned"
    add("seed", seed, "--pca-seed", dest="pca_seed")


def add_index_options(parser: argparse._ActionsContainer, *, settings: bool = True) -> None:
    """Add the option for the kind of index and, with ``settings``, the option for its settings."""
    kinds = f"kind of index; auto is exact for up to {EXACT_LIMIT:,} descriptors, else nndescent"
    parser.add_argument("--index", "--kind", choices=("auto", *KINDS), default="auto", help=kinds)
    if settings:
        text = "settings of the index, such as beam=60 for nndescent or parts=4 bits=5 for pq"
        add = partial(parser.add_argument, type=_setting, nargs="+", default=[])
        add("--index-settings", metavar="NAME=VALUE", help=text)


def add_ransac_options(parser: argparse._ActionsContainer) -> None:
    """Add the options for geometric verification."""
    config = RansacConfig()
    add = partial(add_value, parser, config)
    residual = "inlier threshold: largest distance from a mapped point to its match, in pixels"
    add("residual", residual)
    aware = (
        "let the inlier threshold follow the scales of the features; by default yes, and no (as in "
        "the paper) in evaluations"
    )
    parser.add_argument("--scale-aware", action=argparse.BooleanOptionalAction, help=aware)
    add("hypotheses", "number of random samples of matches that RANSAC draws for a pair of photos")
    add("seed", "random seed of RANSAC")


def add_search_options(parser: argparse._ActionsContainer) -> None:
    """Add the options of the search by local features, with geometric verification."""
    add = partial(add_value, parser, SearchConfig())
    neighbors = "number K of nearest database features that are found for each query feature"
    add("neighbors", neighbors)
    verified = "number of photos to verify by RANSAC, most votes first; 0 ranks by votes alone"
    add("verified", verified)
    score = (
        "score that ranks the photos; the default is votes+inliers, and inliers (as in the paper) in "
        "evaluations"
    )
    parser.add_argument("--score", choices=get_args(Score), help=score)
    distance = "largest L2 distance from a query descriptor to the descriptor of a neighbor"
    add("max_distance", distance)
    ratio = "largest ratio of the distance of a neighbor to that of the K-th neighbor; 1 keeps all"
    add("ratio", ratio)
    add("features", "use only the N best features of each photo; by default all")
    add("truncate", "use only the first N dimensions of each descriptor; by default all")
    add_ransac_options(parser)


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for global descriptors, late fusion and query expansion."""
    pooled, expansion = GlobalConfig(), ExpansionConfig()
    run = RunConfig(global_descriptor=pooled)
    group = parser.add_argument_group("global descriptors and query expansion")
    pooling = (
        "rank by global descriptors with this pooling; --fuse and --shortlist add local features"
    )
    group.add_argument("--global", dest="pooling", choices=POOLINGS, help=pooling)
    scales = "scale factors of the photo; the descriptors of all scales are summed"
    add_value(group, pooled, "scales", scales, "--global-scales", nargs="+")
    whiten = "folder of photos to learn a whitening from, or 'rendered' for the rendered photos"
    group.add_argument("--global-whiten", dest="whitening", metavar="FOLDER", help=whiten)
    dimensions = "dimensions of a global descriptor after --global-whiten"
    add_value(group, run, "whitening_dimensions", dimensions, "--global-dimensions")
    fuse = "weight of RANSAC inliers in late fusion with global similarity, 0 to 1 (paper: 0.25)"
    add_value(group, run, "fusion_weight", fuse, "--fuse", metavar="WEIGHT")
    shortlist = "re-rank the N most similar photos by local features with geometric verification"
    add_value(group, run, "shortlist", shortlist)
    expand = (
        "kind of query expansion: add features of the best results to the query, and search again"
    )
    group.add_argument("--expand", dest="kind", choices=get_args(ExpansionKind), help=expand)
    photos = "largest number of results whose features --expand adds"
    add_value(group, expansion, "max_photos", photos, "--expand-photos")
    inliers = "smallest number of RANSAC inliers of a result whose features --expand adds"
    add_value(group, expansion, "min_inliers", inliers, "--expand-inliers")


def add_value(
    parser: argparse._ActionsContainer,
    config: object,
    field: str,
    text: str,
    option: str | None = None,
    **settings: Any,
) -> None:
    """Add an option for one field of a configuration: a number or a tuple of numbers.

    ``field`` is the name of the field, and ``config`` is a configuration with the default value.
    The class of ``config`` also checks the value. ``text`` is the help. ``option`` is ``--FIELD``
    by default. ``settings`` are further arguments of ``add_argument``.
    """
    option = option or f"--{field.replace('_', '-')}"
    kind = get_type_hints(type(config))[field]
    default = getattr(config, field)
    many = get_origin(kind) is tuple

    def check(value: object) -> None:
        check_change(config, field, (value,) if many else value)

    convert = _checked(option, field, int if int in (kind, *get_args(kind)) else float, check)
    shown: dict[str, Any] = {
        "dest": field,
        "default": list(default) if many else default,
        "metavar": "N",
    }
    parser.add_argument(option, type=convert, help=text, **shown | settings)


def add_number(
    parser: argparse._ActionsContainer, option: str, default: float | None, limits: Range, text: str
) -> None:
    """Add an option for a number. A number outside ``limits`` raises a `UsageError`."""
    number = int if limits.whole else float
    convert = _checked(option, option, number, lambda value: check_number(option, value, limits))
    parser.add_argument(option, type=convert, default=default, metavar="N", help=text)


def _checked(
    option: str, name: str, number: type, check: Callable[[object], None]
) -> Callable[[str], object]:
    """Return a function that converts the text of an option to a number, and checks the number.

    The messages of ``check`` start with ``name``, which becomes the option.
    """

    def convert(text: str) -> object:
        value: object = text
        with suppress(ValueError):  # the check refuses what is no number
            value = number(text)
        try:
            check(value)
        except ValueError as error:
            raise UsageError(f"{option}{str(error).removeprefix(name)}") from None
        return value

    return convert


def refuse_unused(option: str, is_given: bool, needed: str, value: object) -> None:
    """Raise a `UsageError` if an option is given, but the option ``needed`` has no ``value``."""
    if is_given and not value:
        raise UsageError(
            f"{option} has no effect without {needed}. Fix: add {needed}, or leave out {option}"
        )


def extraction_config(options: argparse.Namespace) -> ExtractionConfig:
    """Return the configuration of the image pyramid and the selection of features."""
    if options.model in HANDCRAFTED:
        defaults = vars(PyramidConfig()) | vars(ExtractionConfig())
        for name in ("resizing", *NETWORK_OPTIONS):
            if getattr(options, name) != defaults[name]:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} has no effect with --model {options.model}, which has no network. "
                    f"Fix: leave out {option}, or choose another model"
                )
    pyramid = PyramidConfig(longest=options.longest, resizing=options.resizing)
    names = ("max_features", *NETWORK_OPTIONS)
    return ExtractionConfig(pyramid=pyramid, **_values(options, *names))


def pca_config(options: argparse.Namespace) -> PCAConfig:
    """Return the configuration of the PCA of local descriptors."""
    return PCAConfig(seed=options.pca_seed, **_values(options, "dimensions", "whiten"))


def ransac_config(options: argparse.Namespace) -> RansacConfig:
    """Return the configuration of geometric verification."""
    names = ("residual", "scale_aware", "hypotheses", "seed")
    return RansacConfig(**_values(options, *names))


def search_config(options: argparse.Namespace) -> SearchConfig:
    """Return the configuration of the search by local features."""
    names = ("neighbors", "max_distance", "ratio", "verified", "score", "features", "truncate")
    return SearchConfig(ransac=ransac_config(options), **_values(options, *names))


def run_config(options: argparse.Namespace) -> RunConfig:
    """Return the configuration of an evaluation."""
    default, scales = ExpansionConfig(), tuple(options.scales)
    is_given = scales != GlobalConfig().scales
    refuse_unused("--global-scales", is_given, "--global", options.pooling)
    is_given = options.whitening_dimensions != RunConfig().whitening_dimensions
    refuse_unused("--global-dimensions", is_given, "--global-whiten", options.whitening)
    is_given = options.max_photos != default.max_photos
    refuse_unused("--expand-photos", is_given, "--expand", options.kind)
    is_given = options.min_inliers != default.min_inliers
    refuse_unused("--expand-inliers", is_given, "--expand", options.kind)
    given = [name for name, _ in options.index_settings]
    if twice := {name for name in given if given.count(name) > 1}:
        raise UsageError(f"--index-settings has {twice.pop()} twice. Fix: set each setting once")
    pooled = _values(options, "pooling", "longest")
    added = _values(options, "kind", "max_photos", "min_inliers")
    names = ("model", "whitening", "whitening_dimensions", "fusion_weight", "shortlist")
    return RunConfig(
        extraction=extraction_config(options),
        pca=pca_config(options),
        index=IndexConfig(kind=options.index, settings=dict(options.index_settings)),
        search=search_config(options),
        global_descriptor=GlobalConfig(scales=scales, **pooled) if options.pooling else None,
        expansion=ExpansionConfig(**added) if options.kind else None,
        **_values(options, *names),
    )


def _values(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the values of some options, by name."""
    return {name: getattr(options, name) for name in names}


def _setting(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected NAME=VALUE")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(value)
    return name, value
