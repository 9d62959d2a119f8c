"""A ResNet in plain float64 NumPy, to compare the backbone with; it shares no code with the package.

Written from He et al. 2016 (Table 1, Fig. 5) and torchvision's tensor names and layout (kernels out,
in, height, width); feature maps are channels, height, width. Batch norm as at inference.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])
CLASSES = 1000


def made_up_tensors(seed: int, *, blocks: tuple[int, ...], width: int) -> dict[str, np.ndarray]:
    """Draw every tensor of a bottleneck ResNet, under torchvision's names."""
    rng = np.random.default_rng(seed)
    tensors = {}

    def conv(name: str, cout: int, cin: int, kernel: int) -> None:
        shape = (cout, cin, kernel, kernel)
        tensors[f"{name}.weight"] = rng.normal(0, np.sqrt(2 / (cin * kernel**2)), shape)

    def norm(name: str, channels: int) -> None:
        tensors[f"{name}.weight"] = rng.uniform(0.3, 1.2, channels)
        tensors[f"{name}.bias"] = rng.normal(0, 0.3, channels)
        tensors[f"{name}.running_mean"] = rng.normal(0, 0.3, channels)
        tensors[f"{name}.running_var"] = rng.uniform(0.5, 2, channels)
        tensors[f"{name}.num_batches_tracked"] = np.array(7)

    conv("conv1", width, 3, 7)
    norm("bn1", width)
    entering = width
    for layer, count in enumerate(blocks, start=1):
        inner = width * 2 ** (layer - 1)
        for block in range(count):
            at = f"layer{layer}.{block}"
            shapes = ((inner, entering, 1), (inner, inner, 3), (4 * inner, inner, 1))
            for number, shape in enumerate(shapes, start=1):
                conv(f"{at}.conv{number}", *shape)
                norm(f"{at}.bn{number}", shape[0])
            if block == 0:
                conv(f"{at}.downsample.0", 4 * inner, entering, 1)
                norm(f"{at}.downsample.1", 4 * inner)
            entering = 4 * inner
    tensors["fc.weight"] = rng.normal(0, np.sqrt(1 / entering), (CLASSES, entering))
    tensors["fc.bias"] = rng.normal(0, 0.1, CLASSES)
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after a side by the rule ``SAME`` of TensorFlow."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int | str) -> np.ndarray:
    """Convolve by im2col: every window a row, the kernel a matrix."""
    cout, cin, height, width = kernel.shape
    sides = [
        same(size, height, stride) if padding == "SAME" else (padding, padding)
        for size in x.shape[1:]
    ]
    x = np.pad(x, ((0, 0), *sides))
    windows = sliding_window_view(x, (cin, height, width))[0, ::stride, ::stride]
    rows = windows.reshape(-1, cin * height * width)
    maps = rows @ kernel.reshape(cout, -1).T.astype(float)
    return maps.T.reshape(cout, *windows.shape[:2])


def pool(x: np.ndarray, padding: int = 1) -> np.ndarray:
    """Max-pool 3x3, stride 2, over minus infinity outside the map."""
    x = np.pad(x, ((0, 0), *[(padding, padding)] * 2), constant_values=-np.inf)
    return sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))


def forward(
    photo: np.ndarray,
    tensors: dict[str, np.ndarray],
    *,
    stride_in: str,
    epsilon: float = 1e-5,
    tensorflow: bool = False,
) -> dict[str, np.ndarray]:
    """Run a network on an RGB photo of range 0 to 255; return its stages, ``(y, x, c)``, and logits.

    ``stride_in`` is the convolution of a layer's first block that strides, ``"conv1"`` (He et al.) or
    ``"conv2"`` (torchvision). ``tensorflow`` is the padding of DELF and DELG of TensorFlow 2.
    """

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        gain, shift, mean, variance = (
            tensors[f"{name}.{part}"].astype(float)[:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + epsilon) * gain + shift

    def unit(
        x: np.ndarray, conv: str, bn: str, stride: int = 1, padding: int | str = 0
    ) -> np.ndarray:
        x = convolve(x, tensors[f"{conv}.weight"], stride, padding)
        return norm(x + tensors.get(f"{conv}.bias", np.zeros(1))[:, None, None], bn)

    x = ((photo / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)
    x = np.maximum(unit(x, "conv1", "bn1", stride=2, padding="SAME" if tensorflow else 3), 0)
    maps = {"stem": x}
    x = pool(x, 0 if tensorflow else 1)
    for layer in (1, 2, 3, 4):
        block = 0
        while f"{(at := f'layer{layer}.{block}')}.conv1.weight" in tensors:
            stride = 2 if layer > 1 and block == 0 else 1
            first, second = (stride, 1) if stride_in == "conv1" else (1, stride)
            y = np.maximum(unit(x, f"{at}.conv1", f"{at}.bn1", stride=first), 0)
            y = np.maximum(unit(y, f"{at}.conv2", f"{at}.bn2", stride=second, padding=1), 0)
            y = unit(y, f"{at}.conv3", f"{at}.bn3")
            if f"{at}.downsample.0.weight" in tensors:
                x = unit(x, f"{at}.downsample.0", f"{at}.downsample.1", stride=stride)
            x = np.maximum(x + y, 0)
            block += 1
        maps[f"conv{layer + 1}"] = x
    stages = {name: x.transpose(1, 2, 0) for name, x in maps.items()}
    return stages | {"logits": tensors["fc.weight"] @ x.mean(axis=(1, 2)) + tensors["fc.bias"]}
