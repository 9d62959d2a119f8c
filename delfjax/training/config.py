"""Settings of a training run. `paper_config` and `small_config` return complete settings.

Training has two steps (Sec. 4.2 of the paper). Step 1 (``"finetune"``) fine-tunes the descriptors.
Step 2 (``"attention"``) trains the attention on frozen descriptors. Each step is a separate run.
In this package, an update is one change of the parameters, computed from one batch.
"""

from dataclasses import dataclass, replace
from typing import Literal

from delfjax.models.attention import HIDDEN_CHANNELS
from delfjax.ranges import (
    COUNT,
    FRACTION,
    PIXELS,
    POSITIVE,
    RATIO,
    SEED,
    ConfigError,
    Range,
    check_fields,
)

Variant = Literal["finetune", "attention", "joint"]
STAGES = ("stem", "conv2", "conv3", "conv4")  # stages of the backbone up to the descriptors
PAPER_GAMMAS = (0.25, 0.3536, 0.5, 0.7072, 1.0)  # each equally likely: tensorflow/models issue 3387

# Values of kind, learning_rate and head_learning_rate_factor in `small_config`.
SMALL_OPTIMIZERS: dict[Variant, tuple[Literal["sgd", "adamw"], float, float]] = {
    "finetune": ("sgd", 1e-3, 10.0),
    "attention": ("adamw", 1e-3, 1.0),
    "joint": ("adamw", 3e-5, 30.0),
}


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Settings of the training network: which parts are trained, and the pooling (Fig. 4).

    Attributes:
        variant: ``"finetune"`` is step 1 of the paper, ``"attention"`` is step 2. ``"joint"``
            trains descriptors and attention together, with the classifier of step 2. The paper
            found this unstable.
        trainable_stages: Stages (blocks of layers) of the backbone to train; ``()`` for
            ``"attention"``. The paper does not say which stages step 1 trains. Freezing the first
            stages saves time on a CPU. Only convolution kernels are trained, not batch norms.
        pooled_layer: Layer whose averaged output is classified in step 1. The paper does not name
            the layer. The official code uses ``"conv5"``. Descriptors always come from conv4.
        pooling: Pooling of the descriptors in step 2, weighted by their attention scores. ``"sum"``
            is Eq. 1, ``"mean"`` is the official code; see `delfjax.models.attention.weighted_pool`.
        normalize_weighted: Whether to L2-normalize descriptors before the weighted pooling.
        normalize_average: Whether to L2-normalize descriptors before they are averaged in step 1.
        hidden_channels: Number of channels in the hidden layer of the attention head.

    Raises:
        ConfigError: If a value is out of range, or does not fit the variant.
    """

    variant: Variant
    trainable_stages: tuple[str, ...] = STAGES
    pooled_layer: Literal["conv4", "conv5"] = "conv4"
    pooling: Literal["sum", "mean"] = "mean"
    normalize_weighted: bool = True
    normalize_average: bool = False
    hidden_channels: int = HIDDEN_CHANNELS

    def __post_init__(self) -> None:
        check_fields(self, hidden_channels=COUNT)
        stages = (*STAGES, "conv5") if self.pooled_layer == "conv5" else STAGES
        if unknown := set(self.trainable_stages) - set(stages):
            raise ConfigError(
                f"trainable_stages contains {sorted(unknown)}; expected only names from {stages}"
            )
        if self.pooled_layer == "conv5" and self.variant != "finetune":
            raise ConfigError(
                f'pooled_layer is "conv5" with variant "{self.variant}"; expected the variant '
                '"finetune". Fix: set pooled_layer="conv4" or variant="finetune"'
            )
        if (self.variant == "attention") == bool(self.trainable_stages):
            expected = "()" if self.variant == "attention" else f"at least one of {stages}"
            raise ConfigError(
                f'trainable_stages is {self.trainable_stages} with variant "{self.variant}"; '
                f"expected {expected}"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Settings of the random crops and scales of training photos (Secs. 4.1 and 4.2).

    Each photo is cropped to its largest centered square, and the square is resized. Each update
    takes a random crop of every square, and rescales all crops by the same random factor.

    Attributes:
        resize: Side of the centered square after resizing, in pixels.
        crop: Side of the random crop, in pixels.
        gammas: Scale factors, above 0 and at most 1. Each update chooses one of the factors at
            random. The default keeps the size of the crops. For all variants except ``"finetune"``,
            `paper_config` sets the five factors of the paper, `PAPER_GAMMAS`.

    Raises:
        ConfigError: If a value is out of range, or ``crop`` is larger than ``resize``.
    """

    resize: int
    crop: int
    gammas: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        check_fields(self, resize=PIXELS, crop=PIXELS, gammas=RATIO)
        if self.crop > self.resize:
            raise ConfigError(
                f"crop is {self.crop}; expected 1 to {self.resize}, the value of resize"
            )

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Sides of the rescaled crops in pixels, one per factor in ``gammas``."""
        return tuple(round(gamma * self.crop) for gamma in self.gammas)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Settings of the optimizer and of the learning rate over time.

    The paper states none of these values. Momentum, gradient clipping and the linear schedule come
    from ``train.py`` of the official code. The weight decay comes from a later re-implementation.

    Attributes:
        steps: Number of updates of the parameters, one per batch; not step 1 or 2 of the paper.
        learning_rate: Maximum learning rate.
        kind: Optimizer: ``"sgd"`` or ``"adamw"``.
        momentum: Momentum of SGD. AdamW ignores this value.
        weight_decay: Weight decay of the kernels. Other parameters, such as biases, do not decay.
        clip_norm: Maximum L2 norm of the gradient of all parameters together. A larger gradient is
            scaled down to this norm.
        schedule: Learning rate after the warmup. ``"linear"`` and ``"cosine"`` decrease the
            learning rate to 0. ``"constant"`` keeps the maximum.
        warmup_fraction: Fraction of the updates during which the learning rate increases linearly
            to its maximum. At least 0 and below 1.
        head_learning_rate_factor: Factor on the learning rate of the attention head and the
            classifiers, which start from random weights.

    Raises:
        ConfigError: If a value is out of range.
    """

    steps: int
    learning_rate: float
    kind: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 10.0
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_fraction: float = 0.0
    head_learning_rate_factor: float = 1.0

    def __post_init__(self) -> None:
        check_fields(
            self,
            steps=COUNT,
            learning_rate=Range(at_least=0, at_most=1e30),
            momentum=Range(at_least=0, below=1),
            weight_decay=FRACTION,
            clip_norm=POSITIVE,
            warmup_fraction=Range(at_least=0, below=1),
            head_learning_rate_factor=Range(above=0, at_most=1e6),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a training run.

    Attributes:
        network: Settings of the network.
        augmentation: Settings of the random crops and scales.
        optimizer: Settings of the optimizer, with the number of updates.
        batch_size: Number of photos per batch, summed over all devices.
        balance_classes: Whether each epoch repeats photos so that all classes have equal size.
        validation_fraction: Fraction of the photos of each class to hold out for validation, from 0
            to 1 (not stated in the paper). The saved state with the lowest loss on these photos
            becomes the trained model.
        save_every: Number of updates after which the state is validated and saved.
        seed: Seed of all random choices, such as the initial weights and the crops.

    Raises:
        ConfigError: If a value is out of range.
    """

    network: ClassifierConfig
    augmentation: AugmentationConfig
    optimizer: OptimizerConfig
    batch_size: int = 32
    balance_classes: bool = False
    validation_fraction: float = 0.2
    save_every: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {"batch_size": COUNT, "save_every": COUNT}
        check_fields(self, validation_fraction=FRACTION, seed=SEED, **counts)


def paper_config(variant: Variant = "finetune") -> TrainingConfig:
    """Return training settings as in the paper, for GPUs and a few hundred thousand photos.

    The crops and scales come from the paper, and the weight decay from a later re-implementation.
    Most other values come from the official code, but step 1 classifies conv4 instead of conv5.
    Limitation: these settings have not been run.

    Args:
        variant: Parts to train; see ``variant`` of `ClassifierConfig`.
    """
    stages = () if variant == "attention" else STAGES
    if variant == "finetune":
        augmentation = AugmentationConfig(resize=250, crop=224)
    else:
        augmentation = AugmentationConfig(resize=900, crop=720, gammas=PAPER_GAMMAS)
    return TrainingConfig(
        network=ClassifierConfig(variant=variant, trainable_stages=stages),
        augmentation=augmentation,
        optimizer=OptimizerConfig(steps=500_000, learning_rate=0.01),
    )


def small_config(variant: Variant = "finetune") -> TrainingConfig:
    """Return training settings for two CPU cores and a few hundred photos of 320 x 240 pixels.

    Step 1 trains only conv4 of the backbone. Step 2 uses smaller crops than `paper_config`, with
    the same ``gammas``. Each step takes 400 updates, or five to six minutes on two cores. The values
    were chosen by the loss and accuracy on held-out photos. Result of step 1 on 49 landmarks of the
    rendered data set, with one seed: 84% of the held-out photos are classified correctly.

    Args:
        variant: Parts to train; see ``variant`` of `ClassifierConfig`.
    """
    config = paper_config(variant)
    network, augmentation = config.network, config.augmentation
    if variant != "attention":
        network = replace(network, trainable_stages=("conv4",))
    if variant != "finetune":
        augmentation = replace(augmentation, resize=300, crop=240)
    kind, learning_rate, head_factor = SMALL_OPTIMIZERS[variant]
    return TrainingConfig(
        network=network,
        augmentation=augmentation,
        optimizer=OptimizerConfig(
            steps=400,
            learning_rate=learning_rate,
            kind=kind,
            head_learning_rate_factor=head_factor,
            schedule="cosine",
            warmup_fraction=0.05,
        ),
        batch_size=16 if variant == "finetune" else 32,
        balance_classes=True,
        save_every=50,
    )


def with_conv5(config: TrainingConfig) -> TrainingConfig:
    """Return a copy of settings for step 1 that also trains conv5, and classifies its output."""
    stages = (*config.network.trainable_stages, "conv5")
    network = replace(config.network, pooled_layer="conv5", trainable_stages=stages)
    return replace(config, network=network)
