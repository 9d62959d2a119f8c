"""The command ``delfjax train``, which trains a model on a folder of photos."""

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
    photos = "folder of photos with one sub-folder per class"
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER", help=photos)
    out = "folder of the training run; an interrupted run in this folder resumes"
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help=out)
    step = "finetune trains descriptors (step 1 of the paper), attention trains scores (step 2)"
    variants = get_args(Variant)
    parser.add_argument("--variant", choices=variants, default="finetune", help=step)
    model = "initial model: a file of `delfjax train`, a model of delfjax, or an ImageNet backbone"
    parser.add_argument("--start", default=RESNET50_V1.name, metavar="MODEL", help=model)
    file = "read the weights of the ImageNet backbone from this file instead of downloading them"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=file)
    preset = "preset of all settings: small for a CPU and a few hundred photos, paper for GPUs"
    parser.add_argument("--config", choices=CONFIGS, default="small", help=preset)
    layer = "layer that step 1 of the paper pools and classifies; conv5 is also trained"
    parser.add_argument("--pooled-layer", choices=("conv4", "conv5"), default="conv4", help=layer)
    preset = "; by default the value of --config"
    parser.add_argument("--steps", type=int, help=f"number of updates, one per batch{preset}")
    parser.add_argument("--batch-size", type=int, help=f"number of photos per batch{preset}")
    parser.add_argument("--learning-rate", type=float, help=f"highest learning rate{preset}")
    seed = f"random seed of initial weights, photo order and crops{preset}"
    parser.add_argument("--seed", type=int, help=seed)
    save = f"number of updates between two saved training states{preset}"
    parser.add_argument("--save-every", type=int, help=save)
    tensorboard = "write event files for TensorBoard into RUN"
    parser.add_argument("--tensorboard", action="store_true", help=tensorboard)
    parser.add_argument("--coordinator", help="address:port of host 0, to train on several hosts")
    parser.add_argument("--hosts", type=int, default=1, help="number of hosts that train together")
    parser.add_argument("--host", type=int, default=0, help="index of this host, starting at 0")


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
    """Run ``delfjax train``."""
    config, start = training_config(options), options.start
    if options.coordinator:  # before anything else uses JAX
        jax.distributed.initialize(options.coordinator, options.hosts, options.host)
    if options.weights:
        if start not in SPECS:
            raise ValueError(
                f"--weights {options.weights}: the model {start} of --start has weights of its own. "
                "Fix: leave out --weights, or pass the name of an ImageNet backbone to --start"
            )
        conv5 = config.network.pooled_layer == "conv5"
        start = weights.load_backbone(SPECS[start], file=options.weights, conv5=conv5)
    trained = training.train(
        options.photos, options.out, config=config, start=start, tensorboard=options.tensorboard
    )
    print(f"{trained.file}: update {trained.step} of {config.optimizer.steps}")
    for name, value in trained.validation_metrics.items():
        print(f"{name.replace('_', ' '):32}{value:.3f}")
    return list_failures(ExtractionReport(failed=trained.failed))
