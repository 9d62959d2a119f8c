"""The networks that image labels train (Sec. 4.2, Fig. 4).

Descriptors are fine-tuned through average-pooled conv4 and a softmax classifier (Fig. 4a); then, with
them frozen, attention is learnt through the score-weighted pool and a classifier of its own (Fig. 4b,
Eq. 1). For comparison there are two other ways: both at once, which the paper rejects, and both at once
with no gradient from the attention into the backbone, which is the official code's.

Symbols: ``y = W f`` the logits of a pooled descriptor ``f``.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from delfjax.attention import HIDDEN, Attention, weighted_pool
from delfjax.backbone import ResNet

Variant = Literal["finetune", "attention", "joint", "joint-stop"]
STAGES = ("stem", "conv2", "conv3", "conv4")
HEADS = ("descriptor", "attention")  # the classifiers that there may be


@dataclass(frozen=True, kw_only=True)
class RecogniserConfig:
    """What is trained, and through which pooling.

    Attributes:
        variant: ``"finetune"`` is step 1 of the paper, ``"attention"`` step 2, with the backbone frozen.
            ``"joint"`` trains backbone and attention through the weighted pool, which the paper found
            unstable. ``"joint-stop"`` trains both at once, each through its own classifier, as the
            official code does (there with conv5 before the descriptors' classifier).
        stages: Parts of the backbone that are trained; none for ``"attention"``. To leave the first ones
            as they are is not in the paper, and cheaper on a CPU.
        norm: Batch norm. ``"frozen"`` keeps ImageNet's statistics, scales and shifts and trains the
            kernels alone: for small sets and small batches. ``"batch"`` normalises by each batch and
            trains everything. The paper does not say.
        reduction: Of the weighted pool; see `delfjax.attention.weighted_pool`.
        normalise: Whether the weighted pool is one of unit vectors.
        normalise_descriptors: Whether the plain average of step 1 is. If not, a descriptor counts by its
            norm.
        hidden: Width of the attention head.
        precision: Of the convolutions; parameters, pooling and losses are always float32.
    """

    variant: Variant
    stages: tuple[str, ...] = STAGES
    norm: Literal["frozen", "batch"] = "frozen"
    reduction: Literal["sum", "mean"] = "mean"
    normalise: bool = True
    normalise_descriptors: bool = False
    hidden: int = HIDDEN
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if surplus := set(self.stages) - set(STAGES):
            raise ValueError(f"no such stages: {sorted(surplus)}; expected some of {STAGES}")
        if (self.variant == "attention") == bool(self.stages):
            expected = "()" if self.variant == "attention" else f"some of {STAGES}"
            raise ValueError(
                f"variant {self.variant} with stages {self.stages}; expected {expected}"
            )


class Recogniser(nnx.Module):
    """Backbone, attention and classifiers, as a variant needs them.

    Args:
        backbone: The ResNet to start from; copied.
        classes: Number of landmarks.
        config: Variant and pooling.
        rngs: Where the initial weights of attention and classifiers are drawn from.
    """

    def __init__(
        self, backbone: ResNet, classes: int, config: RecogniserConfig, *, rngs: nnx.Rngs
    ) -> None:
        if config.norm == "batch" and backbone.folded:
            raise ValueError(
                'norm is "batch", but the batch norms of this backbone are folded away; start from '
                'ImageNet weights, or use norm="frozen"'
            )
        channels = backbone.spec.channels

        def classifier(*variants: Variant) -> nnx.Linear | None:
            wanted = config.variant in variants
            return nnx.Linear(channels, classes, rngs=rngs) if wanted else None

        self.config = config
        self.backbone = nnx.clone(backbone)
        self.descriptor_classifier = classifier("finetune", "joint-stop")
        self.attention_classifier = classifier("attention", "joint", "joint-stop")
        self.attention = (
            Attention(channels, hidden=config.hidden, rngs=rngs)
            if self.attention_classifier
            else None
        )
        for path, module in nnx.iter_modules(self):
            if isinstance(module, nnx.Conv):
                module.dtype = jnp.dtype(config.precision)
            elif isinstance(module, nnx.BatchNorm) and config.norm == "batch":
                module.use_running_average = path[1] not in config.stages

    def __call__(self, photos: Float[Array, "b h w 3"]) -> dict[str, Array]:
        """Classify photos.

        Returns:
            ``conv4``; with attention ``scores``; the logits of each classifier, ``descriptor`` and
            ``attention``.
        """
        maps = self.backbone(photos)["conv4"].astype(jnp.float32)
        outputs = {"conv4": maps}
        if self.descriptor_classifier is not None:
            # As a weighted pool, that is a matrix product, which XLA does faster than a mean on a CPU.
            ones = jnp.ones(maps.shape[:3])
            pooled = weighted_pool(maps, ones, normalise=self.config.normalise_descriptors)
            outputs["descriptor"] = self.descriptor_classifier(pooled)
        if self.attention is not None:
            if self.config.variant == "joint-stop":
                maps = jax.lax.stop_gradient(maps)
            outputs["scores"] = self.attention(maps).astype(jnp.float32)
            pooled = weighted_pool(
                maps,
                outputs["scores"],
                reduction=self.config.reduction,
                normalise=self.config.normalise,
            )
            outputs["attention"] = self.attention_classifier(pooled)
        return outputs


def is_trained(path: tuple, config: RecogniserConfig) -> bool:
    """Tell of a parameter of `Recogniser`, by its path, whether training moves it."""
    if path[0] != "backbone":
        return True
    return path[1] in config.stages and (config.norm == "batch" or path[-1] == "kernel")
