"""The command ``delfjax train``: its options, and what they come to."""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import jax

from delfjax.cli.options import backbone_option, weights_options
from delfjax.images.reading import scan
from delfjax.models import weights
from delfjax.models.resnet import SPECS
from delfjax.training import devices, export
from delfjax.training.classifier import Variant
from delfjax.training.config import TrainingConfig, embedded, paper, through_conv5

if TYPE_CHECKING:
    from delfjax.training.loop import Trained

CONFIGS = {"embedded": embedded, "paper": paper}
MODEL, START = "model.safetensors", "start.safetensors"  # in a run's folder


def train_options(sub: argparse.ArgumentParser) -> None:
    """Add what is trained, on what, how, and where."""
    sub.add_argument("--config", choices=CONFIGS, default="embedded", help="settings to begin with")
    sub.add_argument("--variant", choices=get_args(Variant), default="finetune", help="the step")
    sub.add_argument(
        "--through",
        choices=("conv4", "conv5"),
        default="conv4",
        help="the map that classifies plain descriptors; with conv5 that one is trained, too",
    )
    sub.add_argument("--photos", type=Path, required=True, help="folder, one sub-folder a class")
    sub.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    sub.add_argument("--start", type=Path, help="trained model whose backbone to start from")
    backbone_option(sub)
    weights_options(sub)
    ours = "the configuration's if not given"
    sub.add_argument("--steps", type=int, help=f"batches in all; {ours}")
    sub.add_argument("--batch", type=int, help=f"photos of a batch; {ours}")
    sub.add_argument("--rate", type=float, help=f"highest learning rate; {ours}")
    sub.add_argument("--seed", type=int, help=f"of weights, order and crops; {ours}")
    sub.add_argument("--save-every", type=int, help=f"steps between two saved states; {ours}")
    sub.add_argument("--tensorboard", action="store_true", help="write event files into RUN")
    sub.add_argument("--coordinator", help="address:port of host 0, if there are several hosts")
    sub.add_argument("--hosts", type=int, default=1, help="how many there are")
    sub.add_argument("--host", type=int, default=0, help="which of them this is")


def configured(options: argparse.Namespace) -> TrainingConfig:
    """Return the settings that options ask for."""
    config = CONFIGS[options.config](options.variant)
    if options.through == "conv5":
        config = through_conv5(config)
    given = {name: getattr(options, name) for name in ("batch", "seed", "save_every")}
    moves = {name: getattr(options, name) for name in ("steps", "rate")}
    moves = {name: value for name, value in moves.items() if value is not None}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(config, **given, optimizer=replace(config.optimizer, **moves))


def train(options: argparse.Namespace) -> "Trained":
    """Train, and write the model into the run's folder."""
    from delfjax.models import (
        checkpoints,  # Orbax with it, which the other commands need not wait for
    )
    from delfjax.training.loop import fit

    config = configured(options)
    if options.coordinator:
        devices.connect(options.coordinator, options.hosts, options.host)
    if options.start:
        backbone, _ = checkpoints.load_model(options.start)
    else:
        conv5 = config.network.through == "conv5"
        backbone = weights.load_backbone(SPECS[options.backbone], file=options.weights, conv5=conv5)
    trained = fit(
        config,
        scan(options.photos),
        backbone,
        options.out,
        tensorboard=options.tensorboard,
    )
    if jax.process_index() == 0:
        if options.start:  # beside the model, which may need its backbone
            shutil.copyfile(options.start, options.out / START)
        export.export(trained, options.out / MODEL)
    return trained
