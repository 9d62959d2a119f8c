"""The networks that image labels train (Sec. 4.2, Fig. 4).

Descriptors are fine-tuned through average-pooled conv4 and a softmax classifier (Fig. 4a), or, as in the
official code, with conv5 in between; then, with them frozen, attention is learned through the score-weighted
pool and a classifier of its own (Fig. 4b, Eq. 1). For comparison there are two other ways: both at once,
which the paper rejects, and both at once with no gradient from the attention into the backbone, which is
the official code's.

Symbols: ``y = W f`` the logits of a pooled descriptor ``f``.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from delfjax.models.attention import HIDDEN_CHANNELS, Attention, weighted_pool
from delfjax.models.backbone import ResNet

Variant = Literal["finetune", "attention", "joint", "joint-stop"]
STAGES = ("stem", "conv2", "conv3", "conv4")  # what descriptors need
HEADS = ("descriptor", "attention")  # the classifiers that there may be
DESCRIPTOR_VARIANTS = ("finetune", "joint-stop")  # which have the first of them


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What is trained, and through which pooling.

    Attributes:
        variant: ``"finetune"`` is step 1 of the paper, ``"attention"`` step 2, with the backbone frozen.
            ``"joint"`` trains backbone and attention through the weighted pool, which the paper found
            unstable. ``"joint-stop"`` trains both at once, each through its own classifier, as the
            official code does (there ``through`` conv5).
        stages: Parts of the backbone that are trained; none for ``"attention"``. To leave the first ones
            as they are is not in the paper, and cheaper on a CPU.
        through: The map that the descriptors' classifier sees the average of. The paper does not say;
            the official code puts ``"conv5"`` on top of the descriptors, which are conv4's all the same.
            It starts from ImageNet's weights, and no trained model keeps it.
        norm: Batch norm. ``"frozen"`` keeps ImageNet's statistics, scales and shifts and trains the
            kernels alone: for small sets and small batches. ``"batch"`` normalizes by each batch and
            trains everything. The paper does not say.
        reduction: Of the weighted pool; see `delfjax.models.attention.weighted_pool`.
        normalize: Whether the weighted pool is one of unit vectors.
        normalize_descriptors: Whether the plain average of step 1 is. If not, a descriptor counts by its
            norm.
        hidden: Width of the attention head.
        precision: Of the convolutions; parameters, pooling and losses are always float32.
    """

    variant: Variant
    stages: tuple[str, ...] = STAGES
    through: Literal["conv4", "conv5"] = "conv4"
    norm: Literal["frozen", "batch"] = "frozen"
    reduction: Literal["sum", "mean"] = "mean"
    normalize: bool = True
    normalize_descriptors: bool = False
    hidden: int = HIDDEN_CHANNELS
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        known = (*STAGES, "conv5") if self.through == "conv5" else STAGES
        if surplus := set(self.stages) - set(known):
            raise ValueError(f"no such stages: {sorted(surplus)}; expected some of {known}")
        if self.through == "conv5" and self.variant not in DESCRIPTOR_VARIANTS:
            raise ValueError(
                f"variant {self.variant} through conv5; expected one of {DESCRIPTOR_VARIANTS}: the "
                "others have no classifier of plain descriptors"
            )
        if (self.variant == "attention") == bool(self.stages):
            expected = "()" if self.variant == "attention" else f"some of {STAGES}"
            raise ValueError(
                f"variant {self.variant} with stages {self.stages}; expected {expected}"
            )


class Classifier(nnx.Module):
    """Backbone, attention and classifiers, as a variant needs them.

    Args:
        backbone: The ResNet to start from; copied.
        classes: Number of landmarks.
        config: Variant and pooling.
        rngs: Where the initial weights of attention and classifiers are drawn from.
    """

    def __init__(
        self, backbone: ResNet, classes: int, config: ClassifierConfig, *, rngs: nnx.Rngs
    ) -> None:
        if config.norm == "batch" and backbone.folded:
            raise ValueError(
                'norm is "batch", but the batch norms of this backbone are folded away; start from '
                'ImageNet weights, or use norm="frozen"'
            )
        if config.through == "conv5" and 5 not in backbone.stages:
            raise ValueError(
                'through is "conv5", which this backbone does not have, as no trained model does; start '
                'from ImageNet weights, weights.load_backbone(conv5=True), or use through="conv4"'
            )
        channels = backbone.spec.channels

        def classifier(channels: int, *variants: Variant) -> nnx.Linear | None:
            wanted = config.variant in variants
            return nnx.Linear(channels, classes, rngs=rngs) if wanted else None

        self.config = config
        self.backbone = nnx.clone(backbone)
        averaged = 2 * channels if config.through == "conv5" else channels
        self.descriptor_classifier = classifier(averaged, *DESCRIPTOR_VARIANTS)
        self.attention_classifier = classifier(channels, "attention", "joint", "joint-stop")
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
        stages = self.backbone(photos)
        maps = stages["conv4"].astype(jnp.float32)
        outputs = {"conv4": maps}
        if self.descriptor_classifier is not None:
            # As a weighted pool, that is a matrix product, which XLA does faster than a mean on a CPU.
            averaged = stages[self.config.through].astype(jnp.float32)
            ones = jnp.ones(averaged.shape[:3])
            pooled = weighted_pool(averaged, ones, normalize=self.config.normalize_descriptors)
            outputs["descriptor"] = self.descriptor_classifier(pooled)
        if self.attention is not None:
            if self.config.variant == "joint-stop":
                maps = jax.lax.stop_gradient(maps)
            outputs["scores"] = self.attention(maps).astype(jnp.float32)
            pooled = weighted_pool(
                maps,
                outputs["scores"],
                reduction=self.config.reduction,
                normalize=self.config.normalize,
            )
            outputs["attention"] = self.attention_classifier(pooled)
        return outputs


def is_trained(path: tuple, config: ClassifierConfig) -> bool:
    """Tell of a parameter of `Classifier`, by its path, whether training moves it."""
    if path[0] != "backbone":
        return True
    return path[1] in config.stages and (config.norm == "batch" or path[-1] == "kernel")
