"""The command ``delfjax train``: its options, the training configuration they make, and its output."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

import jax

from delfjax import training
from delfjax.cli.output import list_failures
from delfjax.features.store import ExtractionReport
from delfjax.models import weights
from delfjax.models.resnet import RESNET50_V1, SPECS
from delfjax.training import TrainingConfig, Variant, paper_config, small_config, with_conv5

CONFIGS = {"small": small_config, "paper": paper_config}


def train_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``delfjax train``."""
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with one sub-folder per class"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of the run, to write or resume",
    )
    parser.add_argument(
        "--variant",
        choices=get_args(Variant),
        default="finetune",
        help="finetune is step 1 of the paper, attention is step 2",
    )
    parser.add_argument(
        "--start",
        default=RESNET50_V1.name,
        metavar="MODEL",
        help="initial backbone: a model file, a model of the zoo, or an ImageNet backbone",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="ImageNet weights on disk, instead of a download",
    )
    parser.add_argument("--config", choices=CONFIGS, default="small", help="preset of all settings")
    parser.add_argument(
        "--pooled-layer",
        choices=("conv4", "conv5"),
        default="conv4",
        help="layer whose average step 1 classifies; conv5, as in the official code, is trained, too",
    )
    preset = "overrides the preset"
    parser.add_argument("--steps", type=int, help=f"number of batches; {preset}")
    parser.add_argument("--batch-size", type=int, help=f"photos per batch; {preset}")
    parser.add_argument("--learning-rate", type=float, help=f"highest learning rate; {preset}")
    parser.add_argument("--seed", type=int, help=f"seed of weights, order and crops; {preset}")
    parser.add_argument("--save-every", type=int, help=f"steps between saved states; {preset}")
    parser.add_argument("--tensorboard", action="store_true", help="write event files into RUN")
    parser.add_argument("--coordinator", help="address:port of host 0, to train on several hosts")
    parser.add_argument("--hosts", type=int, default=1, help="number of hosts")
    parser.add_argument("--host", type=int, default=0, help="number of this host, from 0")


def training_config(options: argparse.Namespace) -> TrainingConfig:
    """Return the training configuration that command-line options describe."""
    config = CONFIGS[options.config](options.variant)
    if options.pooled_layer == "conv5":
        config = with_conv5(config)
    given = {name: value for name, value in vars(options).items() if value is not None}
    run = {name: given[name] for name in ("batch_size", "seed", "save_every") if name in given}
    optimizer = {name: given[name] for name in ("steps", "learning_rate") if name in given}
    return replace(config, **run, optimizer=replace(config.optimizer, **optimizer))


def train(options: argparse.Namespace) -> int:
    """Train a model, print its validation metrics, and return the exit code.

    Raises:
        ValueError: If weights are given for a model that has its own.
    """
    config, start = training_config(options), options.start
    if options.coordinator:  # before anything else uses JAX
        jax.distributed.initialize(options.coordinator, options.hosts, options.host)
    if options.weights:
        if start not in SPECS:
            raise ValueError(
                f"--weights {options.weights}: the model {start} has weights of its own. Fix: leave out "
                "--weights, or give the name of an ImageNet backbone with --start"
            )
        conv5 = config.network.pooled_layer == "conv5"
        start = weights.load_backbone(SPECS[start], file=options.weights, conv5=conv5)
    trained = training.train(
        options.photos, options.out, config=config, start=start, tensorboard=options.tensorboard
    )
    print(f"{trained.file}: step {trained.step} of {config.optimizer.steps}")
    for name, value in trained.validation_metrics.items():
        print(f"{name.replace('_', ' '):32}{value:.3f}")
    return list_failures(ExtractionReport(failed=trained.failed))
