"""Network for training: backbone, attention head, and classifiers of landmarks (Sec. 4.2, Fig. 4).

Step 1 of the paper (Fig. 4a) classifies the average of all descriptors. Step 2 (Fig. 4b) multiplies frozen
descriptors by their attention scores, adds them up (Eq. 1) and classifies the sum.
"""

from collections.abc import Hashable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from delfjax.models.attention import Attention, weighted_pool
from delfjax.models.backbone import ResNet
from delfjax.training.config import DESCRIPTOR_VARIANTS, ClassifierConfig

HEADS = ("descriptor", "attention")  # classifiers of average and of weighted descriptors


class Classifier(nnx.Module):
    """Network for training: a backbone, and the attention head and classifiers that a variant needs.

    `ClassifierConfig` explains the variants, such as ``"finetune"``.

    Args:
        backbone: ResNet to start from. The network gets a copy.
        classes: Number of landmarks.
        config: Settings of the network, including the variant.
        rngs: Random keys for the initial weights of attention head and classifiers.

    Raises:
        ValueError: If ``pooled_layer`` is ``"conv5"``, but the backbone ends at conv4.
    """

    def __init__(
        self, backbone: ResNet, classes: int, config: ClassifierConfig, *, rngs: nnx.Rngs
    ) -> None:
        if config.pooled_layer == "conv5" and 5 not in backbone.stages:
            raise ValueError(
                'pooled_layer is "conv5", but this backbone ends at conv4, like all DELF models. '
                'Fix: start from ImageNet weights, or set pooled_layer="conv4"'
            )
        self.config = config
        self.backbone = nnx.clone(backbone)
        channels, hidden = backbone.spec.channels, config.hidden_channels
        average_channels = 2 * channels if config.pooled_layer == "conv5" else channels
        has_average = config.variant in DESCRIPTOR_VARIANTS
        has_attention = config.variant != "finetune"
        linear = partial(nnx.Linear, out_features=classes, rngs=rngs)
        self.descriptor_classifier = linear(average_channels) if has_average else None
        self.attention_classifier = linear(channels) if has_attention else None
        self.attention = Attention(channels, hidden=hidden, rngs=rngs) if has_attention else None

    def __call__(self, photos: Float[Array, "b h w 3"]) -> dict[str, Array]:
        """Predict which landmark each of ``b`` RGB photos shows. Pixels have values from 0 to 255.

        Returns:
            A dict. ``conv4``: dense descriptors ``[b, y, x, c]`` with ``c`` channels. ``scores``:
            attention scores ``[b, y, x]``. ``descriptor`` and ``attention``: logits ``[b, classes]`` of
            the classifiers of average and of weighted descriptors. Parts that the variant lacks are absent.
        """
        stages = self.backbone(photos)
        descriptors = stages["conv4"]
        outputs = {"conv4": descriptors}
        if self.descriptor_classifier is not None:
            # The average is a pooling with weights 1: a matrix product, which is faster on a CPU.
            maps = stages[self.config.pooled_layer]
            ones = jnp.ones(maps.shape[:3])
            pooled = weighted_pool(maps, ones, normalize=self.config.normalize_average)
            outputs["descriptor"] = self.descriptor_classifier(pooled)
        if self.attention is not None and self.attention_classifier is not None:
            if self.config.variant == "joint-stop":
                descriptors = jax.lax.stop_gradient(descriptors)
            outputs["scores"] = self.attention(descriptors)
            pooled = weighted_pool(
                descriptors,
                outputs["scores"],
                reduction=self.config.pooling,
                normalize=self.config.normalize_weighted,
            )
            outputs["attention"] = self.attention_classifier(pooled)
        return outputs


def is_trainable(path: tuple[Hashable, ...], config: ClassifierConfig) -> bool:
    """Return whether training updates the parameter at a ``path`` of names in a `Classifier`."""
    if path[0] != "backbone":
        return True
    return path[1] in config.trainable_stages and path[-1] == "kernel"
