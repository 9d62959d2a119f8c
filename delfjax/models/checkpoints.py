"""Trained models as files: one safetensors file each, in half precision, with a manifest inside.

A backbone is kept up to conv4, with its batch norms folded, and kept once: a model whose backbone was not
trained holds its attention alone, and the checksum of the backbone that goes with it. That one is looked
for in the other files of the folder, then among the ImageNet weights.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from delfjax import provenance
from delfjax.models import weights
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet, checksum, fold_batch_norm
from delfjax.models.conversion import Tensors, WeightsError
from delfjax.models.resnet import SPECS
from delfjax.models.zoo import model_path

KEY = "delfjax"  # of the manifest, among a file's metadata

Module = TypeVar("Module", bound=nnx.Module)


def save_model(
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
        tensors |= _halved("backbone", backbone)
        backbone = _filled_backbone(backbone.spec.name, tensors)  # as it will be read
    if attention is not None:
        tensors |= _halved("attention", attention)
    manifest = {
        "holds": sorted({name.split(".")[0] for name in tensors}),
        "backbone": {"name": backbone.spec.name, "checksum": checksum(nnx.state(backbone))},
        "sha256": _digest(tensors),
        "training": training,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    save_file(tensors, temporary, metadata={KEY: provenance.to_json(manifest)})
    temporary.replace(path)


def read_manifest(path: Path | str) -> dict[str, Any]:
    """Read what a model's file says of it: its backbone, and how it was trained.

    Raises:
        WeightsError: If it is no such file.
    """
    try:
        with safe_open(path, "np") as file:
            return json.loads((file.metadata() or {})[KEY])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: not a trained model of delfjax ({error})") from error


def load_model(path: Path | str) -> tuple[ResNet, Attention | None]:
    """Read a model: the folded backbone, and the attention head if it has one.

    Raises:
        WeightsError: If the file is damaged, or its backbone cannot be found.
    """
    path = model_path(path)
    manifest = read_manifest(path)
    tensors = load_file(path)
    if manifest["sha256"] != _digest(tensors):
        raise WeightsError(f"{path}: damaged, its checksum is another; copy it again")
    if "backbone" in manifest["holds"]:
        backbone = _filled_backbone(manifest["backbone"]["name"], tensors)
    else:
        backbone = _find_backbone(path, manifest["backbone"])
    return backbone, _filled_attention(tensors) if "attention" in manifest["holds"] else None


def _find_backbone(path: Path, wanted: Mapping[str, str]) -> ResNet:
    """Look for the backbone of a model that does not hold its own."""
    for other in sorted(path.parent.glob("*.safetensors")):
        with suppress(WeightsError):  # a file of something else
            manifest = read_manifest(other)
            if manifest["backbone"] == wanted and "backbone" in manifest["holds"]:
                return load_model(other)[0]
    backbone = fold_batch_norm(weights.load_backbone(SPECS[wanted["name"]]))
    if (found := checksum(nnx.state(backbone))) != wanted["checksum"]:
        raise WeightsError(
            f"{path}: was trained on a {wanted['name']} of checksum {wanted['checksum'][:16]}, which is "
            f"neither in {path.parent} nor ImageNet's ({found[:16]}); put its file beside this one"
        )
    return backbone


def _halved(part: str, module: nnx.Module) -> Tensors:
    """Return a module's parameters in half precision, by name."""
    tensors = {}
    for names, value in nnx.to_flat_state(nnx.state(module)):
        full, name = np.asarray(value[...]), _name(part, names)
        if (largest := np.abs(full).max()) > np.finfo(np.float16).max:
            raise WeightsError(f"{name} has values up to {largest:.3g}; expected at most 65504")
        tensors[name] = np.ascontiguousarray(full.astype(np.float16))
    return tensors


def _filled_backbone(spec: str, tensors: Tensors) -> ResNet:
    return _filled(lambda: ResNet(SPECS[spec], folded=True, rngs=nnx.Rngs(0)), "backbone", tensors)


def _filled_attention(tensors: Tensors) -> Attention:
    channels, hidden = tensors["attention.hidden.kernel"].shape[2:]
    return _filled(
        lambda: Attention(channels, hidden=hidden, rngs=nnx.Rngs(0)), "attention", tensors
    )


def _filled(make: Callable[[], Module], part: str, tensors: Tensors) -> Module:
    module = nnx.eval_shape(make)
    for names, value in nnx.to_flat_state(nnx.state(module)):
        value.set_value(jnp.asarray(tensors[_name(part, names)], jnp.float32))
    return module


def _name(part: str, names: tuple[str | int, ...]) -> str:
    return ".".join(map(str, (part, *names)))


def _digest(tensors: Tensors) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].tobytes())
    return found.hexdigest()
