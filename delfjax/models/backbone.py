"""Compute dense local descriptors with a fully convolutional ResNet up to conv4 (Sec. 4.1).

Inputs are RGB photos with values from 0 to 255. The output of ResNet-50 has 1024 channels and a
stride of 16 pixels. `fold_batch_norm` speeds up feature extraction.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from delfjax.models.layers import convolve
from delfjax.models.resnet import EXPANSION, POOL_KERNEL, SPATIAL_KERNEL, STEM_KERNEL, ResNetSpec

Module = TypeVar("Module", bound=nnx.Module)
State = nnx.State[Any, Any]  # parameters of a network, nested like its modules


class ConvNorm(nnx.Module):
    """Convolution, followed by a batch norm unless it is folded into the convolution."""

    def __init__(
        self,
        spec: ResNetSpec,
        cin: int,
        cout: int,
        kernel: int,
        stride: int,
        *,
        padding: int | str | None = None,
        folded: bool,
        rngs: nnx.Rngs,
    ) -> None:
        self.conv = nnx.Conv(
            cin,
            cout,
            (kernel, kernel),
            strides=stride,
            padding=kernel // 2 if padding is None else padding,
            use_bias=folded or spec.conv_bias,
            conv_general_dilated=convolve,
            rngs=rngs,
        )
        norm = partial(nnx.BatchNorm, epsilon=spec.epsilon, use_running_average=True, rngs=rngs)
        self.norm = None if folded else norm(cout)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x e"]:
        """Apply the convolution and the batch norm."""
        x = self.conv(x)
        return x if self.norm is None else self.norm(x)


class Bottleneck(nnx.Module):
    """Bottleneck block of a ResNet, ``relu(shortcut(x) + expand(relu(spatial(relu(reduce(x))))))``.

    ``reduce`` and ``expand`` are 1x1 convolutions, and ``spatial`` is a 3x3 convolution.
    ``shortcut`` is the identity, or a 1x1 convolution if the block changes the shape of ``x``.
    """

    def __init__(
        self,
        spec: ResNetSpec,
        cin: int,
        inner: int,
        strides: tuple[int, int],
        *,
        folded: bool,
        rngs: nnx.Rngs,
    ) -> None:
        unit = partial(ConvNorm, spec, folded=folded, rngs=rngs)
        stride_1x1, stride_3x3 = strides
        cout = inner * EXPANSION
        self.stride = stride_1x1 * stride_3x3
        self.strides_first = stride_1x1 > 1
        self.reduce = unit(cin, inner, 1, stride_1x1)
        self.spatial = unit(inner, inner, SPATIAL_KERNEL, stride_3x3)
        self.expand = unit(inner, cout, 1, 1)
        has_shortcut = cin != cout or self.stride > 1
        self.shortcut = unit(cin, cout, 1, self.stride) if has_shortcut else None

    def __call__(
        self, x: Float[Array, "b h w c"], valid: Bool[Array, "b h w"] | None = None
    ) -> Float[Array, "b y x e"]:
        """Apply the block. ``valid`` marks the positions of ``x`` in a photo. None: all of them."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        if self.strides_first:
            valid = _stride_mask(valid, self.stride)
        # Only the 3x3 convolution mixes cells, so only its input must be zero outside the photo.
        inner = _mask(jax.nn.relu(self.reduce(x)), valid)
        return jax.nn.relu(shortcut + self.expand(jax.nn.relu(self.spatial(inner))))


class ResNet(nnx.Module):
    """ResNet up to conv4, optionally with conv5.

    Args:
        spec: Layer sizes and input normalization of the network.
        conv5: Whether to add conv5. Local descriptors do not need conv5.
        folded: Whether to omit the batch norms, because they are folded into the convolutions.
        rngs: Random state that initializes the weights.
    """

    def __init__(
        self,
        spec: ResNetSpec,
        *,
        conv5: bool = False,
        folded: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.spec = spec
        self.folded = folded
        same = "SAME" if spec.padding == "tensorflow" else None
        self.stem = ConvNorm(
            spec, 3, spec.width, STEM_KERNEL, 2, padding=same, folded=folded, rngs=rngs
        )
        self.stages = (2, 3, 4, 5) if conv5 else (2, 3, 4)
        block = partial(Bottleneck, spec, folded=folded, rngs=rngs)
        for stage in self.stages:
            blocks = nnx.List([block(*sizes) for sizes in spec.bottlenecks(stage)])
            setattr(self, f"conv{stage}", blocks)

    def __call__(
        self, photos: Float[Array, "b h w 3"], valid: Bool[Array, "b h w"] | None = None
    ) -> dict[str, Array]:
        """Compute the feature maps of all stages.

        Args:
            photos: RGB images with values from 0 to 255. An image may contain several photos, at
                least 15 pixels apart. Their top and left edges must be at multiples of 16 pixels.
                With TensorFlow padding, add 1 to the top (left) edge if the height (width) is odd.
            valid: Mask of the pixels inside a photo, by default all pixels. Other pixels do not
                change the feature maps inside the photos.

        Returns:
            Dict of feature maps: ``stem`` and ``conv2`` to ``conv4`` or ``conv5``, with strides of
            2, 4, 8, 16 and 32 pixels.
        """
        x = _mask((photos - jnp.array(self.spec.mean)) / jnp.array(self.spec.std), valid)
        padded = self.spec.padding == "symmetric"
        valid = _stride_mask(valid if padded or valid is None else valid[:, 1:, 1:], 2)
        stages = {"stem": jax.nn.relu(self.stem(x))}
        x = max_pool(_mask(stages["stem"], valid), padding=int(padded))
        if not (padded or valid is None):  # a window of the pooling must be inside a photo
            valid = valid[:, :-2] & valid[:, 2:]
            valid = valid[:, :, :-2] & valid[:, :, 2:]
        valid = _stride_mask(valid, 2)
        for stage in self.stages:
            for block in getattr(self, f"conv{stage}"):
                x = block(x, valid)
                valid = _stride_mask(valid, block.stride)
            stages[f"conv{stage}"] = x
        return stages


def _mask(
    x: Float[Array, "b h w c"], valid: Bool[Array, "b h w"] | None
) -> Float[Array, "b h w c"]:
    """Set the positions outside the photos to zero, like the padding of a convolution."""
    return x if valid is None else jnp.where(valid[..., None], x, 0)


def _stride_mask(valid: Bool[Array, "b h w"] | None, stride: int) -> Bool[Array, "b y x"] | None:
    return valid if valid is None or stride == 1 else valid[:, ::stride, ::stride]


def max_pool(x: Float[Array, "b h w c"], padding: int = 1) -> Float[Array, "b y x c"]:
    """Max-pool non-negative feature maps with kernel size 3 and stride 2.

    ``padding`` is the number of pixels that are added to each side. The maximum of nine slices is
    computed, because on a CPU it is several times faster than the window reduction of XLA.
    """
    both = padding, padding  # after a ReLU, no value is smaller than zero
    x = jnp.pad(x, ((0, 0), both, both, (0, 0)))
    rows, columns = (side - 1 - (side - 1) % 2 for side in x.shape[1:3])  # twice the cells
    slices = [
        x[:, dy : dy + rows : 2, dx : dx + columns : 2]
        for dy in range(POOL_KERNEL)
        for dx in range(POOL_KERNEL)
    ]
    return reduce(jnp.maximum, slices)


def cut_at_conv4(model: ResNet) -> ResNet:
    """Copy a network, and remove conv5 from the copy."""
    cut = nnx.clone(model)
    if 5 in cut.stages:
        delattr(cut, "conv5")
    cut.stages = (2, 3, 4)
    return cut


def fold_batch_norm(model: ResNet) -> ResNet:
    """Return a copy of a network with each batch norm folded into the convolution before it.

    ``w`` and ``b`` are kernel and bias of the convolution. The batch norm has the mean ``m``, the
    standard deviation ``s``, the scale ``g`` and the bias ``beta``. The new kernel is ``w g / s``,
    and the new bias ``(b - m) g / s + beta``. A network without batch norms is returned unchanged.
    """
    if model.folded:
        return model
    folded = nnx.clone(model)
    folded.folded = True
    for unit in [unit for _, unit in nnx.iter_modules(folded) if isinstance(unit, ConvNorm)]:
        # In NumPy, because JAX would take seconds to compile the operations for each shape.
        norm, conv = jax.tree.map(np.asarray, (nnx.state(unit.norm), nnx.state(unit.conv)))
        gain = norm["scale"][...] / np.sqrt(norm["var"][...] + np.float32(model.spec.epsilon))
        bias = conv["bias"][...] if "bias" in conv else 0.0
        bias = (bias - norm["mean"][...]) * gain + norm["bias"][...]
        unit.conv.kernel.set_value(jnp.asarray(conv["kernel"][...] * gain))
        unit.conv.bias = nnx.Param(jnp.asarray(bias))
        unit.conv.use_bias = True
        unit.norm = None
    return folded


def transpose_kernels(state: State) -> State:
    """Swap the y and x axes of every kernel. Transposed photos then have transposed feature maps.

    Portrait photos can then use the program compiled for landscape photos. Not in the paper.
    """
    turned: State = jax.tree.map(lambda w: w.transpose(1, 0, 2, 3) if w.ndim == 4 else w, state)
    return turned


def named_parameters(state: State) -> dict[str, nnx.Variable[Array]]:
    """Return the parameters by name. An example of a name is ``conv4.0.expand.conv.kernel``."""
    return {".".join(map(str, path)): value for path, value in nnx.to_flat_state(state)}


def build(
    create: Callable[[], Module], tensors: Mapping[str, np.ndarray], prefix: str = ""
) -> Module:
    """Create a network by ``create()``, and set its parameters to the values in ``tensors``.

    Each key of ``tensors`` is ``prefix`` followed by the name of a parameter.

    Raises:
        KeyError: If a tensor is missing.
        ValueError: If the shapes of a tensor and its parameter differ.
    """
    module = nnx.eval_shape(create)
    for name, parameter in named_parameters(nnx.state(module)).items():
        if (found := np.shape(tensors[prefix + name])) != parameter.shape:
            raise ValueError(f"{prefix + name} has shape {found}; expected {parameter.shape}")
        parameter.set_value(jnp.asarray(tensors[prefix + name], jnp.float32))
    return module


def checksum(tensors: State | Mapping[str, np.ndarray]) -> str:
    """Return a SHA-256 checksum of the names and values of all parameters, in hexadecimal."""
    named = named_parameters(tensors) if isinstance(tensors, nnx.State) else tensors
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode())
        digest.update(np.asarray(named[name][...]).tobytes())
    return digest.hexdigest()
