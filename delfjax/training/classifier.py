"""Network for training: backbone, attention head, and landmark classifier (Sec. 4.2, Fig. 4).

Step 1 of the paper (Fig. 4a) classifies the average of all descriptors. Step 2 (Fig. 4b) freezes
the descriptors, and classifies their weighted sum. The weights are attention scores (Eq. 1).
"""

from collections.abc import Hashable
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from delfjax.models.attention import Attention, weighted_pool
from delfjax.models.backbone import ResNet
from delfjax.training.config import ClassifierConfig


class Classifier(nnx.Module):
    """Network for training: a backbone, an attention head, and a landmark classifier.

    In step 1 of training (the variant ``"finetune"``), there is no attention head.

    Args:
        backbone: Initial ResNet. The network holds a copy; training does not change the original.
        classes: Number of landmarks.
        config: Settings of the network, including the variant.
        rngs: Random keys for the initial weights of the attention head and the classifier.

    Raises:
        ValueError: If ``config.pooled_layer`` is ``"conv5"``, but the backbone ends at conv4.
    """

    def __init__(
        self, backbone: ResNet, classes: int, config: ClassifierConfig, *, rngs: nnx.Rngs
    ) -> None:
        if config.pooled_layer == "conv5" and 5 not in backbone.stages:
            raise ValueError(
                'pooled_layer is "conv5", but the initial backbone ends at conv4, as in every DELF '
                'model. Fix: start from ImageNet weights, or set pooled_layer="conv4"'
            )
        self.config = config
        self.backbone = nnx.clone(backbone)
        channels, hidden = backbone.spec.channels, config.hidden_channels
        average_channels = 2 * channels if config.pooled_layer == "conv5" else channels
        has_attention = config.variant != "finetune"
        linear = partial(nnx.Linear, out_features=classes, rngs=rngs)
        self.descriptor_classifier = None if has_attention else linear(average_channels)
        self.attention_classifier = linear(channels) if has_attention else None
        self.attention = Attention(channels, hidden=hidden, rngs=rngs) if has_attention else None

    def __call__(self, photos: Float[Array, "b h w 3"]) -> dict[str, Array]:
        """Classify the landmark in each photo of a batch.

        Args:
            photos: ``b`` RGB photos of height ``h`` and width ``w``, with values from 0 to 255.

        Returns:
            Outputs of the parts that the variant has. ``"conv4"``: descriptors of shape
            ``[b, y, x, channels]``. ``"scores"``: attention scores of shape ``[b, y, x]``.
            ``"descriptor"``: logits of shape ``[b, classes]`` from the average output of
            ``config.pooled_layer``. ``"attention"``: logits from descriptors weighted by scores.
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
    """Return whether training updates the `Classifier` parameter at ``path``, a tuple of names."""
    if path[0] != "backbone":
        return True
    return path[1] in config.trainable_stages and path[-1] == "kernel"
