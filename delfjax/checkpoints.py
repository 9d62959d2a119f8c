"""Trained models as files: one safetensors file each, in half precision, with a manifest inside.

A backbone is kept with its batch norms folded, and kept once: a model whose backbone was not trained holds
its attention alone, and the checksum of the backbone that goes with it. That one is looked for in the
other files of the folder, then among the ImageNet weights.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from delfjax import results, weights
from delfjax.attention import Attention
from delfjax.backbone import ResNet, checksum, fold
from delfjax.conversion import Tensors, WeightsError
from delfjax.resnet import SPECS
from delfjax.train import Trained

MANIFEST = "delfjax"  # its key among a file's metadata


def export(trained: Trained, path: Path) -> None:
    """Write what a run has come to, and how it came to it."""
    model = trained.model
    folded = model.backbone if model.backbone.folded else fold(model.backbone)
    validated = [each for each in trained.log if each["step"] == trained.step]
    training = {
        **results.circumstances(trained.config),
        "seconds": round(trained.seconds),
        "step": trained.step,
        "classes": len(trained.classes),
        "logged": {name: value for each in validated for name, value in each.items()},
    }
    changed = bool(trained.config.network.stages)
    save(path, folded, model.attention, with_backbone=changed, training=training)


def save(
    path: Path,
    backbone: ResNet,
    attention: Attention | None,
    *,
    with_backbone: bool,
    training: Mapping[str, Any],
) -> None:
    """Write a model.

    Args:
        path: The file; its folder is made if missing.
        backbone: The folded backbone.
        attention: The head, if there is one.
        with_backbone: Whether to keep the backbone itself, or only its checksum.
        training: How the model was made, for the manifest.

    Raises:
        WeightsError: If a parameter does not fit half precision.
    """
    tensors: Tensors = {}
    if with_backbone:
        tensors |= _halved("backbone", nnx.state(backbone))
        backbone = _filled_backbone(backbone.spec.name, tensors)  # as it will be read
    if attention is not None:
        tensors |= _halved("attention", nnx.state(attention))
    manifest = {
        "backbone": {"name": backbone.spec.name, "checksum": checksum(nnx.state(backbone))},
        "sha256": _digest(tensors),
        "training": training,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    save_file(tensors, temporary, metadata={MANIFEST: results.to_json(manifest)})
    temporary.replace(path)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what a model's file says of it: its backbone, and how it was trained.

    Raises:
        WeightsError: If it is no such file.
    """
    return _read(path)[0]


def load(path: Path) -> tuple[ResNet, Attention | None]:
    """Read a model: the folded backbone, and the attention head if it has one.

    Raises:
        WeightsError: If the file is damaged, or its backbone cannot be found.
    """
    manifest, tensors = _read(path)
    if manifest["sha256"] != _digest(tensors):
        raise WeightsError(f"{path}: damaged, its checksum is another; copy it again")
    if any(name.startswith("backbone.") for name in tensors):
        backbone = _filled_backbone(manifest["backbone"]["name"], tensors)
    else:
        backbone = _find_backbone(path, manifest["backbone"])
    return backbone, _filled_attention(tensors)


def _read(path: Path) -> tuple[dict[str, Any], Tensors]:
    try:
        with safe_open(path, "np") as file:
            manifest = json.loads((file.metadata() or {})[MANIFEST])
            return manifest, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: not a trained model of delfjax ({error})") from error


def _find_backbone(path: Path, wanted: Mapping[str, str]) -> ResNet:
    """Look for the backbone of a head."""
    for other in sorted(path.parent.glob("*.safetensors")):
        if other != path and read_manifest(other)["backbone"] == wanted:
            return load(other)[0]
    backbone = fold(weights.load(SPECS[wanted["name"]]))
    if (found := checksum(nnx.state(backbone))) != wanted["checksum"]:
        raise WeightsError(
            f"{path}: was trained on a {wanted['name']} of checksum {wanted['checksum'][:16]}, which is "
            f"neither in {path.parent} nor ImageNet's ({found[:16]}); put its file beside this one"
        )
    return backbone


def _halved(part: str, state: nnx.State) -> Tensors:
    """Return a module's parameters in half precision, by name."""
    tensors = {}
    for names, value in nnx.to_flat_state(state):
        name = ".".join(map(str, (part, *names)))
        full = np.asarray(value[...])
        tensors[name] = half = np.ascontiguousarray(full.astype(np.float16))
        if not np.isfinite(half).all():
            raise WeightsError(
                f"{name} has values up to {np.abs(full).max():.3g}; expected < 65504"
            )
    return tensors


def _filled_backbone(name: str, tensors: Tensors) -> ResNet:
    return _filled(lambda: ResNet(SPECS[name], folded=True, rngs=nnx.Rngs(0)), "backbone", tensors)


def _filled_attention(tensors: Tensors) -> Attention | None:
    kernel = tensors.get("attention.hidden.kernel")
    if kernel is None:
        return None
    channels, hidden = kernel.shape[2:]
    return _filled(
        lambda: Attention(channels, hidden=hidden, rngs=nnx.Rngs(0)), "attention", tensors
    )


def _filled(make, part, tensors):
    module = nnx.eval_shape(make)
    for names, value in nnx.to_flat_state(nnx.state(module)):
        name = ".".join(map(str, (part, *names)))
        value.set_value(jnp.asarray(tensors[name], jnp.float32))
    return module


def _digest(tensors: Tensors) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].tobytes())
    return found.hexdigest()
