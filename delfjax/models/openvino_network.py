"""Run the network on a CPU with OpenVINO, an optional package. Not in the paper.

The network has the weights of the JAX network. It takes one image of any size at a time. The JAX
network instead takes a mosaic: one image that contains all resized copies of a photo.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from delfjax.models.resnet import POOL_KERNEL, ResNetSpec


class OpenVinoNetwork:
    """Backbone and attention head, compiled by OpenVINO in single precision.

    Args:
        spec: Layer sizes and input normalization of the backbone.
        parameters: Weights by name, such as ``"backbone.stem.conv.kernel"``. The batch norms must be
            folded.
        score: Score of each descriptor: ``"attention"``, or ``"norm"`` for the L2 norm.

    Raises:
        ImportError: If the package openvino is not installed.
    """

    def __init__(
        self,
        spec: ResNetSpec,
        parameters: Mapping[str, np.ndarray],
        score: Literal["attention", "norm"],
    ) -> None:
        openvino = import_openvino()
        self._spec, self._parameters, self._score = spec, dict(parameters), score
        # By default, OpenVINO computes in half precision on CPUs that support it.
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._network = openvino.compile_model(
            _build_model(spec, parameters, score), "CPU", options
        )

    def __reduce__(self) -> tuple[type["OpenVinoNetwork"], tuple[Any, ...]]:
        """Pickle the weights. The compiled network cannot be pickled."""
        return type(self), (self._spec, self._parameters, self._score)

    def __call__(
        self, images: Iterable[Shaped[np.ndarray, "h w 3"]]
    ) -> Iterator[tuple[Float[np.ndarray, "c y x"], Float[np.ndarray, "y x"]]]:
        """Yield the local descriptors of each RGB image, channels first, and the map of scores.

        Copy the arrays to keep them: the next iteration overwrites them. While the caller uses the
        arrays of one image, the network already runs on the next image.
        """
        requests = cycle([self._network.create_infer_request() for _ in range(2)])
        running = None
        for pixels in images:
            request = next(requests)
            request.start_async([np.ascontiguousarray(pixels[None], np.float32)])
            if running is not None:
                yield self._outputs(running)
            running = request
        if running is not None:
            yield self._outputs(running)

    def _outputs(self, request: Any) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401
        """Wait for the outputs of one image."""
        request.wait()
        maps, scores = (tensor.data[0] for tensor in request.output_tensors)
        if self._score == "attention":
            scores = np.logaddexp(np.float32(0), scores)  # a softplus
        return maps, scores


def import_openvino() -> Any:  # noqa: ANN401 - a module without types
    """Import OpenVINO without its telemetry, which would fork the process and report each import.

    Raises:
        ImportError: If the package is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise ImportError(
            'the backend "openvino" needs the package openvino. Fix: '
            "pip install 'delfjax[openvino]', or use the backend \"jax\""
        ) from error
    return openvino


def _build_model(spec: ResNetSpec, parameters: Mapping[str, np.ndarray], score: str) -> Any:  # noqa: ANN401
    """Describe the network as an OpenVINO model. Its layers are those of `ResNet` and `Attention`."""
    from openvino import Model
    from openvino import opset13 as ops

    def convolve(x: Any, name: str, stride: int = 1) -> Any:  # noqa: ANN401
        kernel, bias = parameters[f"{name}.kernel"], parameters[f"{name}.bias"]
        padding = [kernel.shape[0] // 2] * 2
        weights = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        result = ops.convolution(x, weights, [stride, stride], padding, padding, [1, 1])
        return ops.add(result, ops.constant(bias.reshape(1, -1, 1, 1)))

    def channels(values: tuple[float, ...]) -> Any:  # noqa: ANN401
        return ops.constant(np.array(values, np.float32).reshape(1, 3, 1, 1))

    pixels = ops.parameter([1, -1, -1, 3], np.float32)
    x = ops.transpose(pixels, ops.constant([0, 3, 1, 2]))
    x = ops.divide(ops.subtract(x, channels(spec.mean)), channels(spec.std))
    x = ops.relu(convolve(x, "backbone.stem.conv", 2))
    pooling = [[2, 2], [1, 1], [1, 1], [1, 1], [POOL_KERNEL] * 2]
    x = ops.max_pool(x, *pooling, rounding_type="floor").output(0)
    for stage in (2, 3, 4):
        for number, (_, _, (stride_1x1, stride_3x3)) in enumerate(spec.bottlenecks(stage)):
            block = f"backbone.conv{stage}.{number}"
            inner = ops.relu(convolve(x, f"{block}.reduce.conv", stride_1x1))
            inner = ops.relu(convolve(inner, f"{block}.spatial.conv", stride_3x3))
            if f"{block}.shortcut.conv.kernel" in parameters:
                x = convolve(x, f"{block}.shortcut.conv", stride_1x1 * stride_3x3)
            x = ops.relu(ops.add(x, convolve(inner, f"{block}.expand.conv")))
    projects = "attention.reduce.kernel" in parameters
    descriptors = convolve(x, "attention.reduce") if projects else x
    if score == "norm":
        norms = ops.reduce_l2(descriptors, ops.constant([1]), keep_dims=False)
        return Model([descriptors, norms], [pixels], "delf")
    # Without the softplus, because that of OpenVINO is inaccurate near 0.
    scores = convolve(ops.relu(convolve(x, "attention.hidden")), "attention.score")
    return Model([descriptors, ops.squeeze(scores, ops.constant([1]))], [pixels], "delf")
