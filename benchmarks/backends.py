"""Compare the time from a photo file to features: both backends, and plain pipelines of other libraries.

The plain pipelines do the same work in the fewest lines: they resize the photo to the levels of the
pyramid, run the network on each level, and keep the features with the highest attention. The packages
openvino, onnxruntime and onnx are not installed by default.
"""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from flax import nnx
from PIL import Image
from skimage import data

import delfjax as dx
from benchmarks.timing import measure
from delfjax.features.extraction import Delf
from delfjax.features.pyramid import RESAMPLING, level_size, limit_size
from delfjax.models.backbone import fold_batch_norm, named_parameters
from delfjax.models.checkpoints import load_model, model_path
from delfjax.models.openvino_network import OpenVinoNetwork
from delfjax.models.resnet import ResNetSpec

MODEL = "delf_ft_att"
SIZES = (640, 1024)  # pixels: the longest side of the photo
ROUNDS = 8
FEATURES = 1000

Levels = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def plain_pipeline(network: Levels, path: Path, longest: int) -> tuple[np.ndarray, ...]:
    """Extract features with a network that maps a level to descriptors and attention scores."""
    photo = Image.open(path).convert("RGB")
    size = limit_size(photo.size[::-1], longest)
    photo = photo.resize(size[::-1], RESAMPLING)
    descriptors, scores = [], []
    for scale in dx.PyramidConfig().scales:
        level = photo.resize(level_size(size, scale)[::-1], RESAMPLING)
        maps, attention = network(np.asarray(level))
        descriptors.append(maps.reshape(-1, maps.shape[-1]))
        scores.append(attention.ravel())
    everything = np.concatenate(scores)
    best = np.argpartition(-everything, FEATURES)[:FEATURES]
    best = best[np.argsort(-everything[best])]
    return np.concatenate(descriptors)[best], everything[best]


def openvino_levels(spec: ResNetSpec, parameters: Mapping[str, np.ndarray]) -> Levels:
    """Return the network in OpenVINO, without the rest of our extraction."""
    network = OpenVinoNetwork(spec, parameters)

    def run(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps, scores = network(level)
        return maps, scores["attention"]

    return run


def onnx_levels(spec: ResNetSpec, parameters: Mapping[str, np.ndarray]) -> Levels:
    """Return the network in ONNX Runtime."""
    import onnxruntime
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
    for stage in (2, 3, 4):
        for number, (_, _, (first, second)) in enumerate(spec.bottlenecks(stage)):
            block = f"backbone.conv{stage}.{number}"
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
    described = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        described.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def run(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.ascontiguousarray(level.transpose(2, 0, 1)[None], np.float32)
        maps, attention = session.run(None, {"pixels": pixels})
        return maps[0].transpose(1, 2, 0), attention[0, 0]

    return run


def run() -> dict:
    """Measure the four ways on one photo at two sizes, alternately."""
    backbone, attention = load_model(model_path(MODEL, ()))
    state = nnx.state(Delf(fold_batch_norm(backbone), attention))
    parameters = {name: np.asarray(value[...]) for name, value in named_parameters(state).items()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        rocket = Image.fromarray(data.rocket()).resize((1024, 683), RESAMPLING)
        rocket.save(path, quality=95)
        for longest in SIZES:
            config = dx.ExtractionConfig(
                pyramid=dx.PyramidConfig(longest=longest), max_features=FEATURES, min_contrast=0
            )
            models = {name: dx.load(MODEL, config, backend=name) for name in ("jax", "openvino")}
            ways: dict[str, Callable[[], object]] = {
                f"delfjax, backend {name}": lambda model=model: model(dx.read_image(path))
                for name, model in models.items()
            }
            for name, make in (("OpenVINO", openvino_levels), ("ONNX Runtime", onnx_levels)):
                network = make(backbone.spec, parameters)
                ways[f"plain pipeline, {name}"] = partial(plain_pipeline, network, path, longest)
            for way in ways.values():
                way()  # compiles
            calls, times = list(ways.values()), np.empty((ROUNDS, len(ways)))
            for turn in range(ROUNDS):
                # Each way runs first, second, ...: threads of the way before it can slow it down.
                for n in np.roll(range(len(calls)), turn):
                    times[turn, n] = measure(calls[n])[1]
            peers = [n for n, name in enumerate(ways) if name.startswith("plain")]
            for n, name in enumerate(ways):
                row = {"longest side": longest, "way": name, "s": round(np.median(times[:, n]), 3)}
                if n not in peers:
                    names = [list(ways)[peer].removeprefix("plain pipeline, ") for peer in peers]
                    ratios = np.median(times[:, peers] / times[:, [n]], axis=0).round(3)
                    row["speed relative to"] = dict(zip(names, ratios.tolist(), strict=True))
                rows.append(row)
    best = [row["speed relative to"] for row in rows if row["way"].endswith("backend openvino")]
    return {
        "value": min(value for each in best for value in each.values()),
        "what": "speed of the backend openvino relative to the faster plain pipeline",
        "rows": rows,
        "config": {"model": MODEL, "sizes": SIZES, "rounds": ROUNDS, "features": FEATURES},
    }
