"""ResNet cut at conv4_x: the dense local descriptors of DELF (Sec. 4.1).

A fully convolutional ResNet-50 gives one 1024-d descriptor for every 16th pixel. The network takes RGB
photos of range 0 to 255; `fold_batch_norm` makes of it the faster one that extraction runs.

Symbols: ``x`` an image or feature map, ``valid`` the pixels of it that are photo and not border.
"""

import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from delfjax.models.layers import convolve
from delfjax.models.resnet import (
    EXPANSION,
    POOL_KERNEL,
    SPATIAL_KERNEL,
    STEM_KERNEL,
    ResNetSpec,
    Window,
    same,
    split_stride,
)


class ConvNorm(nnx.Module):
    """Convolution and batch norm; after `fold_batch_norm`, one convolution with a bias."""

    def __init__(
        self, spec: ResNetSpec, cin: int, cout: int, window: Window, *, folded: bool, rngs: nnx.Rngs
    ) -> None:
        self.conv = nnx.Conv(
            cin,
            cout,
            (window.kernel, window.kernel),
            strides=window.stride,
            padding=window.padding,
            use_bias=folded or spec.conv_bias,
            conv_general_dilated=convolve,
            rngs=rngs,
        )
        self.norm = (
            None
            if folded
            else nnx.BatchNorm(cout, epsilon=spec.epsilon, use_running_average=True, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x e"]:
        """Convolve, then normalize."""
        x = self.conv(x)
        return x if self.norm is None else self.norm(x)


class Bottleneck(nnx.Module):
    """``relu(x + expand(relu(spatial(relu(reduce(x))))))`` with a 1x1 shortcut where shapes change."""

    def __init__(
        self, spec: ResNetSpec, cin: int, inner: int, stride: int, *, folded: bool, rngs: nnx.Rngs
    ) -> None:
        def unit(*args: object) -> ConvNorm:
            return ConvNorm(spec, *args, folded=folded, rngs=rngs)

        one, three = split_stride(spec, stride)
        cout = inner * EXPANSION
        self.stride = stride
        self.strides_first = one > 1
        self.reduce = unit(cin, inner, same(1, one))
        self.spatial = unit(inner, inner, same(SPATIAL_KERNEL, three))
        self.expand = unit(inner, cout, same(1, 1))
        self.shortcut = unit(cin, cout, same(1, stride)) if cin != cout or stride > 1 else None

    def __call__(
        self, x: Float[Array, "b h w c"], valid: Bool[Array, "b h w"] | None = None
    ) -> Float[Array, "b y x e"]:
        """Add to the input what the three convolutions make of it."""
        past = x if self.shortcut is None else self.shortcut(x)
        if self.strides_first:
            valid = _stride(valid, self.stride)
        # Only the 3x3 looks sideways, so only its input has to be zero outside the photo.
        inner = _blank(jax.nn.relu(self.reduce(x)), valid)
        return jax.nn.relu(past + self.expand(jax.nn.relu(self.spatial(inner))))


class ResNet(nnx.Module):
    """ResNet up to conv4, or with conv5 on top, or with conv5 and the ImageNet classifier.

    Args:
        spec: Which network.
        conv5: Whether to add conv5: descriptors do not need it, only classifiers do.
        classifier: Whether to add conv5, global average pooling and 1000 logits: only to prove that
            weights were read well.
        folded: Whether batch norms are folded away; use `fold_batch_norm` to make such a network.
    """

    def __init__(
        self,
        spec: ResNetSpec,
        *,
        conv5: bool = False,
        classifier: bool = False,
        folded: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.spec = spec
        self.folded = folded
        self.stem = ConvNorm(spec, 3, spec.width, same(STEM_KERNEL, 2), folded=folded, rngs=rngs)
        self.stages = (2, 3, 4, 5) if conv5 or classifier else (2, 3, 4)
        for stage in self.stages:
            blocks = [
                Bottleneck(spec, *sizes, folded=folded, rngs=rngs)
                for sizes in spec.bottlenecks(stage)
            ]
            setattr(self, f"conv{stage}", nnx.List(blocks))
        self.classifier = nnx.Linear(2 * spec.channels, 1000, rngs=rngs) if classifier else None

    def __call__(
        self, photos: Float[Array, "b h w 3"], valid: Bool[Array, "b h w"] | None = None
    ) -> dict[str, Array]:
        """Compute every stage.

        Args:
            photos: RGB, 0 to 255.
            valid: Which pixels are photo. The others may hold anything: what is computed at the valid
                ones is as if the photo ended there. Photos on one sheet must start at multiples of 16
                pixels and stand at least 16 pixels apart.

        Returns:
            ``stem``, ``conv2``, ``conv3``, ``conv4`` (cells of stride 2, 4, 8, 16), and where the
            network has them ``conv5`` (of stride 32) and ``logits``.
        """
        x = _blank((photos - jnp.array(self.spec.mean)) / jnp.array(self.spec.std), valid)
        valid = _stride(valid, 2)
        stages = {"stem": jax.nn.relu(self.stem(x))}
        x = max_pool(_blank(stages["stem"], valid))
        valid = _stride(valid, 2)
        for stage in self.stages:
            for block in getattr(self, f"conv{stage}"):
                x = block(x, valid)
                valid = _stride(valid, block.stride)
            stages[f"conv{stage}"] = x
        if self.classifier is not None:
            stages["logits"] = self.classifier(x.mean(axis=(1, 2)))
        return stages


def _blank(
    x: Float[Array, "b h w c"], valid: Bool[Array, "b h w"] | None
) -> Float[Array, "b h w c"]:
    """Put the zeros of 'no photo here' outside the photo, where convolution would see padding."""
    return x if valid is None else jnp.where(valid[..., None], x, 0)


def _stride(valid: Bool[Array, "b h w"] | None, stride: int) -> Bool[Array, "b y x"] | None:
    return valid if valid is None or stride == 1 else valid[:, ::stride, ::stride]


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b y x c"]:
    """Max-pool 3x3, stride 2, padding 1, of non-negative maps, as the maximum of nine slices.

    Not in the paper: on CPU XLA runs this several times faster than its window reduction. Padding
    by zero equals padding by minus infinity because a ReLU comes before.
    """
    height, width = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = height + height % 2, width + width % 2  # each slice has ceil(n / 2) cells
    slices = [
        x[:, dy : dy + rows : 2, dx : dx + columns : 2]
        for dy in range(POOL_KERNEL)
        for dx in range(POOL_KERNEL)
    ]
    return functools.reduce(jnp.maximum, slices)


def cut_at_conv4(model: ResNet) -> ResNet:
    """Return the network up to conv4, which is all that descriptors need; its parameters are copies."""
    cut = nnx.clone(model)
    cut.classifier = None
    if 5 in cut.stages:
        del cut.conv5
    cut.stages = (2, 3, 4)
    return cut


def fold_batch_norm(model: ResNet) -> ResNet:
    """Fold each frozen batch norm into its convolution: ``w' = w g / s``, ``b' = (b - m) g / s + beta``.

    ``s = sqrt(variance + epsilon)``, ``g`` the scale, ``m`` the running mean. A folded network is
    returned as it is.
    """
    if model.folded:
        return model
    folded = nnx.eval_shape(
        lambda: ResNet(
            model.spec,
            conv5=5 in model.stages,
            classifier=model.classifier is not None,
            folded=True,
            rngs=nnx.Rngs(0),
        )
    )
    target = dict(nnx.iter_modules(folded))
    for path, module in nnx.iter_modules(model):
        if isinstance(module, ConvNorm):
            holder, (kernel, bias) = target[path].conv, _folded(module)
        elif isinstance(module, nnx.Linear):
            holder, kernel, bias = target[path], module.kernel[...], module.bias[...]
        else:
            continue
        holder.kernel.set_value(kernel)
        holder.bias.set_value(bias)
    return folded


def _folded(unit: ConvNorm) -> tuple[Array, Array]:
    # In NumPy: JAX would compile each operation for each of twenty shapes, for two or three seconds.
    norm, conv = jax.tree.map(np.asarray, (nnx.state(unit.norm), nnx.state(unit.conv)))
    gain = norm["scale"][...] / np.sqrt(norm["var"][...] + np.float32(unit.norm.epsilon))
    bias = conv["bias"][...] if "bias" in conv else 0.0
    bias = (bias - norm["mean"][...]) * gain + norm["bias"][...]
    return jnp.asarray(conv["kernel"][...] * gain), jnp.asarray(bias)


def transpose_kernels(state: nnx.State) -> nnx.State:
    """Swap y and x in every kernel, so that the network sees a transposed photo as the photo.

    Not in the paper: an upright photo can then run through the program compiled for wide ones.
    """
    return jax.tree.map(lambda w: w.transpose(1, 0, 2, 3) if w.ndim == 4 else w, state)


def checksum(state: nnx.State) -> str:
    """Return a SHA-256 over every parameter, with its name."""
    digest = hashlib.sha256()
    for path, value in nnx.to_flat_state(state):
        digest.update(".".join(map(str, path)).encode())
        digest.update(np.asarray(value[...]).tobytes())
    return digest.hexdigest()
