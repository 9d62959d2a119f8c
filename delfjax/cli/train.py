"""The commands ``delfjax train`` and ``fit-projection``, which train a model on a folder of photos."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

from delfjax import training
from delfjax.cli import options as shared
from delfjax.cli.output import UsageError, check_folder, check_model_file, list_failures, show
from delfjax.datasets.labeled_folder import describe_classes
from delfjax.features.extraction import Extractor
from delfjax.features.store import ExtractionReport
from delfjax.images.folder import scan
from delfjax.models import weights
from delfjax.models.checkpoints import load_model, model_path, needs_imagenet, save_model
from delfjax.models.resnet import RESNET50_V1, SPECS
from delfjax.provenance import describe
from delfjax.training import (
    TrainingConfig,
    Variant,
    add_projection,
    paper_config,
    small_config,
    with_conv5,
)

CONFIGS = {"small": small_config, "paper": paper_config}
OPTIMIZER = {
    "steps": "number of updates, one per batch",
    "learning_rate": "highest learning rate",
}
RUN = {
    "batch_size": "number of photos per batch",
    "seed": "random seed of initial weights, photo order and crops",
    "save_every": "number of updates between two saved training states",
}


def train_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax train``."""
    photos = "folder of photos with one sub-folder per class"
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER", help=photos)
    out = "folder of the training run; an interrupted run in this folder resumes"
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help=out)
    step = "finetune trains descriptors (step 1 of the paper), attention trains scores (step 2)"
    variants = get_args(Variant)
    parser.add_argument("--variant", choices=variants, default="finetune", help=step)
    model = "initial model: a file that `delfjax train` wrote, a model of delfjax, or an ImageNet backbone"
    parser.add_argument("--start", default=RESNET50_V1.name, metavar="MODEL", help=model)
    file = "read the weights of the ImageNet backbone from this file instead of downloading them"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=file)
    preset = "preset of all settings: small for a CPU and a few hundred photos, paper for GPUs"
    parser.add_argument("--config", choices=CONFIGS, default="small", help=preset)
    layer = "layer that step 1 of the paper averages and classifies; conv5 also trains conv5"
    parser.add_argument("--pooled-layer", choices=("conv4", "conv5"), default="conv4", help=layer)
    preset = "; by default the value of --config"
    advanced, run = parser.add_argument_group(shared.ADVANCED), small_config()
    for config, texts in ((run.optimizer, OPTIMIZER), (run, RUN)):
        for name, text in texts.items():
            shared.add_field(advanced, config, name, text + preset, default=None)


def training_config(options: argparse.Namespace) -> TrainingConfig:
    """Return the training configuration of command-line options."""
    config = CONFIGS[options.config](options.variant)
    if options.pooled_layer == "conv5":
        config = with_conv5(config)
    run, optimizer = (
        {name: value for name in texts if (value := getattr(options, name)) is not None}
        for texts in (RUN, OPTIMIZER)
    )
    return replace(config, **run, optimizer=replace(config.optimizer, **optimizer))


def train(options: argparse.Namespace) -> int:
    """Run ``delfjax train``."""
    check_folder("--out", options.out)
    config, start = training_config(options), options.start
    photos = scan(options.photos)
    if (options.batch_size or 1) > len(photos):
        raise UsageError(
            f"--batch-size is {options.batch_size}; expected at most {len(photos)}, the number of photos"
        )
    show(f"{options.photos}: {describe_classes(photos)}", error=True)
    if options.weights:
        if start not in SPECS:
            raise UsageError(
                f"--weights {options.weights}: the model {start} of --start has weights of its own. "
                "Fix: leave out --weights, or pass the name of an ImageNet backbone to --start"
            )
        conv5 = config.network.pooled_layer == "conv5"
        start = weights.load_backbone(SPECS[start], file=options.weights, conv5=conv5)
    trained = training.train(photos, options.out, config=config, start=start)
    show(f"{trained.file}: update {trained.step} of {config.optimizer.steps}")
    for name, value in trained.validation_metrics.items():
        print(f"{name.replace('_', ' '):32}{value:.3f}")
    return list_failures(ExtractionReport(failed=trained.failed))


def fit_projection_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax fit-projection``."""
    photos = "folder of photos with one sub-folder per landmark"
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help=photos)
    out = "model file to write: the model with the projection"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors", help=out)
    shared.add_model_options(parser)
    shared.add_backend_option(parser)
    shared.add_fields(parser.add_argument_group(shared.ADVANCED), *shared.EXTRACTION)


def fit_projection(options: argparse.Namespace) -> int:
    """Run ``delfjax fit-projection``."""
    config, path = shared.extraction_config(options), model_path(options.model)
    check_model_file("--out", options.out, source=path)
    backbone, attention = load_model(path, imagenet=options.weights)
    if attention is None or attention.reduce is not None:
        raise UsageError(
            f"--model {options.model}: expected a model with an attention head and without a projection. "
            "Fix: choose another model"
        )
    model = Extractor(backbone, attention, config, path.stem, backend=options.backend)
    projection, report = training.fit_projection(model, scan(options.photos))
    save_model(
        options.out,
        backbone,
        add_projection(attention, projection),
        with_backbone=not needs_imagenet(path),
        training={"projection_of": path.stem, **describe(config), "photos": len(report.extracted)},
    )
    show(f"{options.out}: written, the model {path.stem} with a projection of its descriptors")
    return list_failures(report)
