"""Options that several commands share, and functions that turn options into configurations.

`OPTIONS` maps each class of configurations to its options with their help texts. An option sets the
field of the same name, unless `FIELDS` maps the option to another field.
"""

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from delfjax.cli.output import UsageError
from delfjax.evaluation.config import RunConfig
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import Backend, ExtractionConfig
from delfjax.features.factory import DEFAULT_MODEL, model_names
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.handcrafted import NAMES as HANDCRAFTED
from delfjax.features.pyramid import PyramidConfig
from delfjax.geometry.ransac import RansacConfig
from delfjax.models.pooling import POOLINGS
from delfjax.provenance import Config
from delfjax.ranges import UNIONS, Range, check_change, check_number
from delfjax.search.expansion import ExpansionConfig, ExpansionKind
from delfjax.search.index import EXACT_LIMIT, KINDS, IndexConfig
from delfjax.search.searcher import SearchConfig

FIELDS = {
    "fuse": "fusion_weight",
    "global_dimensions": "whitening_dimensions",
    "pca_seed": "seed",
}
OPTIONS: Mapping[type, Mapping[str, str]] = {
    PyramidConfig: {
        "longest": "shrink larger photos so that the longest side has this many pixels",
        "resizing": "how photos are resized; tensorflow1 is the method of the official code of DELF",
    },
    ExtractionConfig: {
        "selection": "score that selects features; by default attention if the model has it, else the norm of descriptors",
        "max_features": "maximum number of features per photo",
        "nms_iou": "drop a feature if its intersection over union with a better feature exceeds this value; 1 "
        "keeps all",
        "min_contrast": "minimum contrast around a feature, in gray levels; 0 keeps features of empty areas; "
        "the default is 1, and 0 (as in the official code) in evaluations",
        "min_score": "minimum score of a feature; by default 0, and 100 in the official configuration of DELF",
        "cell_step": "use every n-th row and column of conv4; the official network of DELF uses 2, a stride of "
        "32 pixels",
    },
    PCAConfig: {
        "dimensions": "dimensions of a descriptor after the PCA",
        "whiten": "divide each dimension by its standard deviation after the PCA",
        "pca_seed": "random seed for the choice of photos and features from which the PCA is learned",
    },
    RansacConfig: {
        "residual": "inlier threshold: largest distance from a mapped point to its match, in pixels",
        "scale_aware": "use the scales of features for the inlier threshold; the paper does not use them",
        "hypotheses": "number of random samples of matches that RANSAC draws for a pair of photos",
        "seed": "random seed of RANSAC",
    },
    SearchConfig: {
        "neighbors": "number K of nearest database features to find for each query feature",
        "verified": "number of photos that RANSAC verifies: those with the highest sums of votes; 0 ranks by votes",
        "score": "score that ranks the photos; weighted: matches and inliers, weighted by the attention scores "
        "of their features; inliers: the number of inliers, as in the paper",
        "max_distance": "largest L2 distance from a query descriptor to the descriptor of a neighbor",
        "ratio": "largest ratio of the distance of a neighbor to the distance of the K-th neighbor; 1 keeps all",
        "features": "use only the N best features of each photo; by default all",
        "truncate": "use only the first N dimensions of each descriptor; by default all",
    },
    RunConfig: {
        "global_dimensions": "dimensions of a global descriptor after --global-whiten",
        "fuse": "weight of RANSAC inliers in late fusion with global similarity, 0 to 1, such as 0.75",
        "shortlist": "re-rank the N most similar photos by local features with geometric verification",
    },
}
EXTRACTION = PyramidConfig(), ExtractionConfig()
SEARCH = SearchConfig(), RansacConfig()
ADVANCED = "advanced options"  # title of the group of options that most users do not need


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that writes the result as JSON."""
    result = "write the result to this file as JSON; - is standard output"
    parser.add_argument("--json", type=Path, metavar="FILE", help=result)


def add_model_options(parser: argparse._ActionsContainer, *, of_store: bool = False) -> None:
    """Add the options that choose the model. ``of_store``: the default is the model of a store."""
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


def add_index_option(parser: argparse._ActionsContainer) -> None:
    """Add the option for the kind of index."""
    kinds = f"kind of index; auto is exact for up to {EXACT_LIMIT:,} descriptors, else nndescent"
    parser.add_argument("--index", "--kind", choices=("auto", *KINDS), default="auto", help=kinds)


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for global descriptors, late fusion and query expansion."""
    group = parser.add_argument_group("global descriptors and query expansion")
    pooling = (
        "rank by global descriptors with this pooling; --fuse and --shortlist add local features"
    )
    group.add_argument("--global", dest="pooling", choices=POOLINGS, help=pooling)
    whiten = (
        "learn a whitening from the photos in this folder, if possible with one sub-folder per landmark; "
        "'rendered_train': from our rendered photos of training landmarks"
    )
    group.add_argument("--global-whiten", dest="whitening", metavar="FOLDER", help=whiten)
    add_fields(group, RunConfig(global_descriptor=GlobalConfig()))
    expand = (
        "kind of query expansion: add features of the best results to the query, and search again"
    )
    group.add_argument("--expand", choices=get_args(ExpansionKind), help=expand)


def add_fields(parser: argparse._ActionsContainer, *configs: object) -> None:
    """Add the `OPTIONS` of each configuration. The values of its fields are the defaults."""
    for config in configs:
        for name, text in OPTIONS[type(config)].items():
            default = getattr(config, FIELDS.get(name, name))
            add_field(parser, config, name, text, default=default)


def add_field(
    parser: argparse._ActionsContainer, config: object, name: str, text: str, *, default: object
) -> None:
    """Add an option for one field of a configuration: a number, a choice, or yes or no.

    ``name`` is the name of the option with underscores, ``text`` is the help, and ``default`` is the
    value without the option. A number is checked as a new value of the field in ``config``.
    """
    option, field = f"--{name.replace('_', '-')}", FIELDS.get(name, name)
    hint = get_type_hints(type(config))[field]
    kinds = get_args(hint) if get_origin(hint) in UNIONS else (hint,)
    add = partial(parser.add_argument, option, default=default, help=text)
    if bool in kinds:
        add(action=argparse.BooleanOptionalAction)
    elif get_origin(kinds[0]) is Literal:
        add(choices=get_args(kinds[0]))
    else:
        number = int if int in kinds else float
        check = partial(check_change, config, field)
        add(type=_checked(option, field, number, check), metavar="N")


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
    """Raise a `UsageError` if ``option`` is given without the option ``needed``, whose value is ``value``."""
    if is_given and not value:
        raise UsageError(
            f"{option} has no effect without {needed}. Fix: add {needed}, or leave out {option}"
        )


def read_config(options: argparse.Namespace, config: Config, **others: Any) -> Config:
    """Return ``config`` with the values of options, also in nested configurations, and ``others``."""
    values = {FIELDS.get(name, name): getattr(options, name) for name in OPTIONS[type(config)]}
    for name, each in vars(config).items():
        if type(each) in OPTIONS:
            values[name] = read_config(options, each)
    return replace(config, **values | others)


def extraction_config(options: argparse.Namespace) -> ExtractionConfig:
    """Return the configuration of the image pyramid and the selection of features."""
    if options.model in HANDCRAFTED:
        defaults = vars(PyramidConfig()) | vars(ExtractionConfig())
        for name in ("resizing", *OPTIONS[ExtractionConfig]):
            if name != "max_features" and getattr(options, name) != defaults[name]:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} has no effect with --model {options.model}, which has no network. "
                    f"Fix: leave out {option}, or choose another model"
                )
    return read_config(options, ExtractionConfig())


def run_config(options: argparse.Namespace) -> RunConfig:
    """Return the configuration of an evaluation."""
    is_given = options.global_dimensions != RunConfig().whitening_dimensions
    refuse_unused("--global-dimensions", is_given, "--global-whiten", options.whitening)
    pooled = None
    if options.pooling:
        pooled = GlobalConfig(pooling=options.pooling, longest=options.longest)
    return read_config(
        options,
        RunConfig(),
        model=options.model,
        extraction=extraction_config(options),
        index=IndexConfig(kind=options.index),
        global_descriptor=pooled,
        whitening=options.whitening,
        expansion=ExpansionConfig(kind=options.expand) if options.expand else None,
    )
