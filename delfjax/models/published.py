"""Convert networks that others published to `ResNet` and `Attention`, without TensorFlow or PyTorch.

Sources:

- DELF of 2017 (``delf_v1_20171026``, the network of the paper) and other networks of TF-Slim: a
  SavedModel or a checkpoint of TensorFlow 1.
- DELF and DELG of TensorFlow 2: a SavedModel or a checkpoint of TensorFlow 2.
- DeLF-pytorch (nashory) and DELG (feymanpriv) of PyTorch: a safetensors file. The published files are
  pickles, which can run code. ``docs/official-weights.md`` shows how to convert them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flax import nnx

from delfjax.files import failure, read_tensors, reading
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet, build, fold_batch_norm
from delfjax.models.checkpoints import build_attention
from delfjax.models.conversion import (
    KERAS_NORM,
    TORCH,
    TORCH_NORM,
    Naming,
    Tensors,
    WeightsError,
    conversion_table,
    convert,
)
from delfjax.models.resnet import RESNET50_V15, ResNetSpec
from delfjax.models.tensor_bundle import TensorBundle, parse_message

DELF_V1 = "delf_v1_20171026"
DELF_V1_DIGEST = "f65141d3b3618211a965eb980fb25a9c9ff8d98a335304e43917af43d2efdbd5"
"""`TensorBundle.digest` of the published network of the paper."""
SPECS: dict[Naming, ResNetSpec] = {
    "slim": ResNetSpec(
        name="delf_slim", stride_in="1x1", epsilon=1.001e-5, mean=(128.0,) * 3, std=(128.0,) * 3
    ),
    "torchvision": replace(RESNET50_V15, name="delf_pytorch"),
    "pycls": replace(RESNET50_V15, name="delg_pytorch"),
}
SPECS["tf2"] = replace(
    SPECS["slim"], name="delf_tf2", epsilon=1e-3, conv_bias=True, padding="tensorflow"
)
# Kernel and bias of the two convolutions of an attention head, and the batch norm after the first.
HEADS: dict[Naming, tuple[str, str, str, str, str]] = {
    "slim": ("conv1/weights", "conv1/biases", "conv2/weights", "conv2/biases", "conv1/BatchNorm/"),
    "tf2": ("conv1/kernel", "conv1/bias", "conv2/kernel", "conv2/bias", "bn_conv1/"),
    "torchvision": ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", ""),
    "pycls": ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "bn."),
}
INDEX_PLACES = ("", "variables", "model/variables")  # of the index in a folder
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
MANY = 64  # more blocks than a stage of any ResNet has
Node = tuple[dict[str, int], list[str]]  # numbers of the children by name, and keys of tensors
FIX = "pass the file or the folder as it was published"


class PublishedModel(NamedTuple):
    """A network that others published, with folded batch norms, and the file that was read.

    ``is_delf_v1`` is True if names, shapes and checksums of all tensors equal those of `DELF_V1`.
    """

    backbone: ResNet
    attention: Attention
    source: Path
    is_delf_v1: bool = False


def read_published(path: Path) -> PublishedModel:
    """Read a network from a folder, a checkpoint or a safetensors file.

    Args:
        path: Folder of a SavedModel or a checkpoint, ``.index`` file of a checkpoint (the suffix
            may be left out), or ``.safetensors`` file.

    Raises:
        WeightsError: If the file is missing or damaged, or does not hold a supported network.
    """
    try:
        if (index := _find_index(path)) is not None:
            return _from_bundle(TensorBundle(index))
        if path.suffix == ".safetensors":
            with reading(path, "a safetensors file", fix="copy it again", error=WeightsError):
                tensors, _ = read_tensors(path)
            return PublishedModel(*_from_torch(tensors), path)
    except FileNotFoundError as error:
        raise WeightsError(f"{error.filename}: no such file. Fix: {FIX}") from None
    except WeightsError as error:
        named = str(error).startswith(str(path))
        raise WeightsError(str(error) if named else f"{path}: {error}") from error
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder. Fix: check the path")
    raise WeightsError(
        f"{path}: found neither a checkpoint of TensorFlow (a file with the suffix .index) nor a "
        ".safetensors file. Pickle files (.pth, .pyth) are never loaded, because they can run code. "
        "Fix: pass the unpacked folder, or convert the pickle as docs/official-weights.md shows"
    )


def _find_index(path: Path) -> Path | None:
    """Find the index of a checkpoint."""
    if path.is_dir():
        found = sorted(file for place in INDEX_PLACES for file in (path / place).glob("*.index"))
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise WeightsError(f"found several checkpoints: {names}. Fix: pass one of these files")
        return found[0] if found else None
    of_prefix = path.with_name(f"{path.name}.index")
    return path if path.suffix == ".index" else of_prefix if of_prefix.is_file() else None


def _from_bundle(bundle: TensorBundle) -> PublishedModel:
    """Convert a network of TF-Slim or of TensorFlow 2."""
    names = bundle.entries
    if scopes := [name.split("block")[0] for name in names if "/bottleneck_v1/" in name]:
        last = "/conv2/weights"  # of the head: attonly/attention/compute, or attention_block
        heads = [n.removesuffix(last) for n in names if n.endswith(last) and "bottleneck" not in n]
        head = _below(f"{heads[0]}/", names) if heads else {}
        parts = _assemble("slim", bundle.read, _below(scopes[0], names), head)
        return PublishedModel(*parts, bundle.index, bundle.digest == DELF_V1_DIGEST)
    if OBJECT_GRAPH not in names:
        raise _unknown(names, "a ResNet of TF-Slim (block1/unit_1/bottleneck_v1/...)")
    graph = bundle.read_bytes(OBJECT_GRAPH)
    with reading(bundle.index, "an object graph", fix=FIX, error=WeightsError):
        nodes = [_parse_node(node) for node in parse_message(graph)[1]]
    backbone = _tensors_of(nodes, {"conv1", "bn_conv1", "l2a"})
    head = _tensors_of(nodes, {"conv1", "bn_conv1", "conv2"}, without="l2a")
    autoencoder = _tensors_of(nodes, {"conv1", "conv2"}, without="bn_conv1")
    parts = _assemble("tf2", bundle.read, backbone, head, autoencoder)
    return PublishedModel(*parts, bundle.index)


def _parse_node(node: bytes) -> Node:
    """Parse an object of a checkpoint of TensorFlow 2."""
    message = parse_message(node)
    children = [parse_message(child) for child in message.get(1, [])]
    tensors = [parse_message(tensor)[3][0].decode() for tensor in message.get(2, [])]
    return {child[2][0].decode(): child.get(1, [0])[0] for child in children}, tensors


def _tensors_of(nodes: list[Node], children: set[str], without: str = "") -> dict[str, str]:
    """Find an object by the names of its children. Return the keys of the tensors below, by path."""

    def walk(number: int, path: str, depth: int) -> Iterator[tuple[str, str]]:
        names, tensors = nodes[number]
        yield from ((path, key) for key in tensors[:1])
        for name, child in names.items() if depth else ():
            yield from walk(child, f"{path}/{name}", depth - 1)

    for number, (names, _) in enumerate(nodes):
        if children <= names.keys() and without not in names:
            return {path[1:]: key for path, key in walk(number, "", 3)}
    return {}


def _from_torch(tensors: Tensors) -> tuple[ResNet, Attention]:
    """Convert a network of PyTorch."""
    read = tensors.__getitem__
    if names := _below("base.", tensors):
        # The backbone is a list of modules: conv1, bn1, relu, maxpool, layer1, layer2, layer3.
        modules = ("conv1", "bn1", "", "", "layer1", "layer2", "layer3")
        named = {f"{modules[int(n[0])]}{n[1:]}": key for n, key in names.items() if n[0] in "01456"}
        return _assemble("torchvision", read, named, _below("attn.", tensors))
    if names := _below("globalmodel.", tensors):
        return _assemble("pycls", read, names, _below("localmodel.", tensors))
    raise _unknown(tensors, "DeLF-pytorch (base.*, attn.*) or DELG (globalmodel.*, localmodel.*)")


def _unknown(names: Iterable[str], expected: str) -> WeightsError:
    shown = ", ".join(sorted(names)[:3])
    return WeightsError(f"found the tensors {shown}, ...; expected those of {expected}. Fix: {FIX}")


def _below(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Return the names that have a prefix, by their rest."""
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def _assemble(
    naming: Naming,
    read: Callable[[str], np.ndarray],
    backbone: Mapping[str, str],
    head: Mapping[str, str],
    autoencoder: Mapping[str, str] | None = None,
) -> tuple[ResNet, Attention]:
    """Build a network. The mappings are from names of tensors to arguments of ``read``."""
    spec = SPECS[naming]
    table = conversion_table(replace(spec, blocks=(MANY,) * 4), naming, conv5=False)
    conv2, conv3, conv4 = (
        sum(table[f"conv{stage}.{block}.expand.conv.kernel"] in backbone for block in range(MANY))
        for stage in (2, 3, 4)
    )
    spec = replace(spec, blocks=(max(1, conv2), max(1, conv3), max(1, conv4), spec.blocks[3]))
    if (stem := backbone.get(table["stem.conv.kernel"])) is not None:
        spec = replace(spec, width=read(stem).shape[0 if naming in TORCH else -1])
    known = conversion_table(spec, naming, conv5=False).values()
    tensors = {name: read(backbone[name]) for name in known if name in backbone}
    parameters = convert(tensors, naming, spec, conv5=False)
    network = build(lambda: ResNet(spec, rngs=nnx.Rngs(0)), parameters)
    try:
        layers = _layers(naming, read, head, spec.epsilon)
        if naming == "pycls":  # the descriptor is the output of the first convolution
            kernel = np.eye(layers[0][0].shape[-1], dtype=np.float32)[None, None]
            layers[1:1] = [(kernel, np.zeros(kernel.shape[-1], np.float32))] * 2
        elif autoencoder:
            layers = _layers(naming, read, autoencoder, spec.epsilon) + layers
        if layers[0][0].shape[2] != spec.channels:
            raise ValueError(f"it takes {layers[0][0].shape[2]} channels, not {spec.channels}")
        parameters = {}
        names = ("reduce", "expand", "hidden", "score")[-len(layers) :]
        for name, (kernel, bias) in zip(names, layers, strict=True):
            parameters |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
        return fold_batch_norm(network), build_attention(parameters)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"the attention head does not fit the network {spec.name} ({failure(error)}); expected "
            f"two 1x1 convolutions with the tensors {', '.join(HEADS[naming][:4])}. Fix: {FIX}"
        ) from error


def _layers(
    naming: Naming, read: Callable[[str], np.ndarray], names: Mapping[str, str], epsilon: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kernels and biases of two 1x1 convolutions. Fold the batch norm after the first."""
    *convolutions, norm = HEADS[naming]
    kernels = [read(names[name]) for name in convolutions[::2]]
    if naming in TORCH:
        kernels = [kernel.transpose(2, 3, 1, 0) for kernel in kernels]
    if any(kernel.ndim != 4 or kernel.shape[:2] != (1, 1) for kernel in kernels):
        raise ValueError(f"not 1x1: its kernels have the shapes {[k.shape for k in kernels]}")
    biases = [
        read(names[name]) if name in names else np.zeros(kernel.shape[-1], np.float32)
        for name, kernel in zip(convolutions[1::2], kernels, strict=True)
    ]
    if norm and any(name.startswith(norm) for name in names):
        parts = TORCH_NORM if naming in TORCH else KERAS_NORM
        gain, shift, mean, variance = (read(names[f"{norm}{part}"]) for part in parts)
        gain = gain / np.sqrt(variance + np.float32(epsilon))
        kernels[0], biases[0] = kernels[0] * gain, (biases[0] - mean) * gain + shift
    return list(zip(kernels, biases, strict=True))
