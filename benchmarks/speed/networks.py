"""The network with the weights of delfjax in ONNX Runtime, OpenVINO and PyTorch."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from flax import nnx

from delfjax.features.extraction import Delf
from delfjax.models.backbone import fold_batch_norm, named_parameters
from delfjax.models.checkpoints import load_model, model_path
from delfjax.models.openvino_network import import_openvino
from delfjax.models.resnet import ResNetSpec

MODEL = "delf_ft_att"
Parameters = Mapping[str, np.ndarray]
# Takes RGB pixels of shape (height, width, 3); returns the conv4 map and the attention scores.
Network = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def load_network() -> Delf:
    """Return the network of delfjax, with folded batch norms."""
    backbone, attention = load_model(model_path(MODEL, ()))
    return Delf(fold_batch_norm(backbone), attention)


def load_parameters() -> tuple[ResNetSpec, dict[str, np.ndarray]]:
    """Return the specification of the network, and its weights."""
    network = load_network()
    named = named_parameters(nnx.state(network))
    return network.backbone.spec, {name: np.asarray(value[...]) for name, value in named.items()}


def peer_networks() -> dict[str, Network]:
    """Return the network in each library that is installed, by name."""
    made = {}
    if find_spec("onnx"):
        described = describe(*load_parameters())
        if find_spec("onnxruntime"):
            made["ONNX Runtime"] = onnxruntime_network(described)
        if find_spec("openvino"):
            made["OpenVINO"] = openvino_network(described)
    if find_spec("torch"):
        made["torch.compile"] = torch_network(*load_parameters())
    return made


def describe(spec: ResNetSpec, parameters: Parameters) -> bytes:
    """Describe the network in the ONNX format."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, stored = [], []

    def constant(name: str, value: np.ndarray) -> str:
        stored.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(kind: str, *inputs: str, **options: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"{kind}{len(nodes)}"], **options))
        return nodes[-1].output[0]

    def convolve(x: str, name: str, stride: int = 1) -> str:
        kernel = parameters[f"{name}.kernel"]
        values = constant(f"{name}.w", kernel.transpose(3, 2, 0, 1))
        bias, pads = constant(f"{name}.b", parameters[f"{name}.bias"]), [kernel.shape[0] // 2] * 4
        return node("Conv", x, values, bias, strides=[stride] * 2, pads=pads)

    x = node("Sub", "pixels", constant("mean", np.reshape(spec.mean, (1, 3, 1, 1))))
    x = node("Div", x, constant("std", np.reshape(spec.std, (1, 3, 1, 1))))
    x = node("Relu", convolve(x, "backbone.stem.conv", 2))
    x = node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for block, first, second in blocks(spec):
        inner = node("Relu", convolve(x, f"{block}.reduce.conv", first))
        inner = node("Relu", convolve(inner, f"{block}.spatial.conv", second))
        if f"{block}.shortcut.conv.kernel" in parameters:
            x = convolve(x, f"{block}.shortcut.conv", first * second)
        x = node("Relu", node("Add", convolve(inner, f"{block}.expand.conv"), x))
    hidden = node("Relu", convolve(x, "attention.hidden"))
    score = node("Softplus", convolve(hidden, "attention.score"))
    info = helper.make_tensor_value_info
    outputs = [info(name, TensorProto.FLOAT, None) for name in (x, score)]
    inputs = [info("pixels", TensorProto.FLOAT, [1, 3, "h", "w"])]
    graph = helper.make_graph(nodes, "delf", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def blocks(spec: ResNetSpec) -> list[tuple[str, int, int]]:
    """Return the name of each block of the backbone, and the strides of its first convolutions."""
    return [
        (f"backbone.conv{stage}.{number}", *strides)
        for stage in (2, 3, 4)
        for number, (_, _, strides) in enumerate(spec.bottlenecks(stage))
    ]


def onnxruntime_network(described: bytes) -> Network:
    """Return the network in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(described, providers=["CPUExecutionProvider"])
    return _channels_first(lambda pixels: session.run(None, {"pixels": pixels}))


def openvino_network(described: bytes) -> Network:
    """Return the network in OpenVINO, in single precision."""
    openvino = import_openvino()
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(described), "CPU", options)
    return _channels_first(lambda pixels: compiled([pixels]))


def torch_network(spec: ResNetSpec, parameters: Parameters) -> Network:
    """Return the network in PyTorch, compiled for each shape."""
    import torch

    tensors = torch_parameters(parameters)

    def forward(pixels: Any) -> tuple[Any, Any]:
        maps = torch_conv4(spec, tensors, pixels)
        return maps, torch_attention(tensors, maps)

    compiled = torch.compile(forward, dynamic=False)

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
            return [output.numpy() for output in compiled(batch)]

    return _channels_first(run)


def torch_parameters(parameters: Parameters) -> dict[str, Any]:
    """Return weights as tensors of PyTorch. Kernels have the layout of PyTorch."""
    import torch

    tensors = {}
    for name, value in parameters.items():
        tensor = torch.from_numpy(np.array(value.T if value.ndim == 2 else value))
        if value.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        tensors[name] = tensor
    return tensors


def torch_conv4(spec: ResNetSpec, tensors: Mapping[str, Any], pixels: Any) -> Any:
    """Compute the conv4 map in PyTorch. Batch norms use their running statistics."""
    import torch
    from torch.nn import functional as nn

    def convolve(x: Any, name: str, stride: int = 1) -> Any:
        kernel = tensors[f"{name}.conv.kernel"]
        x = nn.conv2d(x, kernel, tensors.get(f"{name}.conv.bias"), stride, kernel.shape[2] // 2)
        norm = [tensors.get(f"{name}.norm.{part}") for part in ("mean", "var", "scale", "bias")]
        return x if norm[0] is None else nn.batch_norm(x, *norm, eps=spec.epsilon)

    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (spec.mean, spec.std))
    x = nn.relu(convolve((pixels - mean) / std, "backbone.stem", 2))
    x = nn.max_pool2d(x, 3, 2, 1)
    for block, first, second in blocks(spec):
        inner = nn.relu(convolve(x, f"{block}.reduce", first))
        inner = nn.relu(convolve(inner, f"{block}.spatial", second))
        if f"{block}.shortcut.conv.kernel" in tensors:
            x = convolve(x, f"{block}.shortcut", first * second)
        x = nn.relu(convolve(inner, f"{block}.expand") + x)
    return x


def torch_attention(tensors: Mapping[str, Any], maps: Any) -> Any:
    """Compute the attention scores in PyTorch."""
    from torch.nn import functional as nn

    hidden, score = (
        [tensors[f"attention.{layer}.{part}"] for part in ("kernel", "bias")]
        for layer in ("hidden", "score")
    )
    return nn.softplus(nn.conv2d(nn.relu(nn.conv2d(maps, *hidden)), *score))


def _channels_first(run: Callable[[np.ndarray], Any]) -> Network:
    def network(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = run(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32))
        return outputs[0][0].transpose(1, 2, 0), outputs[1][0, 0]

    return network
