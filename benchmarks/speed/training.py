"""One update of each training stage, with the settings for small machines: delfjax and PyTorch."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.networks import torch_attention, torch_conv4, torch_parameters
from benchmarks.speed.race import Row, race
from delfjax.models.backbone import ResNet, named_parameters
from delfjax.models.checkpoints import load_model, model_path
from delfjax.training.config import TrainingConfig, small_config
from delfjax.training.step import init_training, train_step

CLASSES = 49
STAGES = {"finetune": "fine-tuning of conv4", "attention": "attention head"}


def run() -> list[Row]:
    """Measure the stages, each on one batch of random photos."""
    rows, random = [], np.random.default_rng(0)
    for variant, title in STAGES.items():
        config = small_config(variant)
        side = config.augmentation.resize
        batch = random.integers(0, 256, (config.batch_size, side, side, 3), np.uint8)
        labels = random.integers(0, CLASSES, len(batch))
        backbone, _ = load_model(model_path("delf_ft_att", ()))
        ours = {"delfjax": our_update(config, backbone, batch, labels)}
        peers = {}
        if find_spec("torch"):
            peers["PyTorch"] = torch_update(config, backbone, batch, labels)
        work = f"update of the {title}, {len(batch)} crops of {config.augmentation.crop} pixels"
        rows += race(work, ours, peers, rounds=5)
    return rows


def our_update(
    config: TrainingConfig, backbone: ResNet, batch: np.ndarray, labels: np.ndarray
) -> Callable[[], object]:
    """Return a function that makes one update with delfjax."""
    context, state = init_training(config, backbone, CLASSES)
    states = [state]
    squares, targets = jnp.asarray(batch), jnp.asarray(labels)

    def update() -> None:
        size = config.augmentation.crop
        after, _ = train_step(context, states.pop(), squares, targets, size=size)
        states.append(jax.block_until_ready(after))

    return update


def torch_update(
    config: TrainingConfig, backbone: ResNet, batch: np.ndarray, labels: np.ndarray
) -> Callable[[], object]:
    """Return a function that makes the same kind of update with PyTorch."""
    import torch
    from torch.nn import functional as nn

    context, state = init_training(config, backbone, CLASSES)
    numpy = [
        {name: np.asarray(value[...]) for name, value in named_parameters(part).items()}
        for part in (context.frozen, state.trainable)
    ]
    frozen, trained = map(torch_parameters, numpy)
    for tensor in trained.values():
        tensor.requires_grad_(True)
    settings = config.optimizer
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.kind == "sgd":
        optimizer = torch.optim.SGD(trained.values(), momentum=settings.momentum, **options)
    else:
        optimizer = torch.optim.AdamW(trained.values(), **options)
    weights, crop = frozen | trained, config.augmentation.crop
    squares = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
    squares = squares.contiguous(memory_format=torch.channels_last)
    targets = torch.from_numpy(labels)

    def update() -> None:
        maps = torch_conv4(backbone.spec, weights, squares[:, :, :crop, :crop])
        if config.network.variant == "attention":
            scores = torch_attention(weights, maps)
            pooled, name = (scores * nn.normalize(maps)).mean((2, 3)), "attention_classifier"
        else:
            pooled, name = maps.mean((2, 3)), "descriptor_classifier"
        logits = nn.linear(pooled, weights[f"{name}.kernel"], weights[f"{name}.bias"])
        optimizer.zero_grad()
        nn.cross_entropy(logits, targets).backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), settings.clip_norm)
        optimizer.step()

    return update
