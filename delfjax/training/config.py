"""The settings of a training run, and two presets: the paper's, and a small one for a CPU.

Training has two steps (Sec. 4.2). Step 1 (``"finetune"``) fine-tunes the descriptors. Step 2
(``"attention"``) trains the attention on frozen descriptors. Each step is a run of its own.
"""

from dataclasses import dataclass, replace
from typing import Literal

from delfjax.models.attention import HIDDEN_CHANNELS

Variant = Literal["finetune", "attention", "joint", "joint-stop"]
STAGES = ("stem", "conv2", "conv3", "conv4")  # the backbone up to the descriptors
DESCRIPTOR_VARIANTS = ("finetune", "joint-stop")  # those that classify average descriptors
PAPER_GAMMAS = (0.25, 0.3536, 0.5, 0.7072, 1.0)  # Sec. 4.2; the author confirms a uniform choice

# Values of kind, learning_rate and head_learning_rate_factor in `small_config`.
SMALL_OPTIMIZERS: dict[Variant, tuple[Literal["sgd", "adamw"], float, float]] = {
    "finetune": ("sgd", 1e-3, 10.0),
    "attention": ("adamw", 1e-3, 1.0),
    "joint": ("adamw", 3e-5, 30.0),
    "joint-stop": ("adamw", 3e-5, 30.0),
}


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What is trained, and how descriptors are pooled for classification (Sec. 4.2, Fig. 4).

    Attributes:
        variant: ``"finetune"`` is step 1 of the paper, ``"attention"`` is step 2. ``"joint"`` trains
            both at once, through the weighted pooling; the paper found this unstable.
            ``"joint-stop"`` trains both at once, each through its own classifier, and stops the
            attention's gradient before the backbone, as the official code does.
        trainable_stages: Stages of the backbone to train; none for ``"attention"``. Freezing the
            first stages is not in the paper; it saves time on a CPU.
        pooled_layer: Layer whose average the classifier of step 1 sees. The paper does not say
            which; the official code uses ``"conv5"``. Descriptors come from conv4 in both cases,
            and model files leave conv5 out.
        batch_norm: ``"frozen"`` keeps the statistics, scales and shifts of ImageNet and trains the
            kernels only, which suits small data sets and batches. ``"train"`` normalizes by the
            statistics of each batch and trains everything. The paper does not say.
        pooling: Pooling of score-weighted descriptors: ``"sum"`` (Eq. 1) or ``"mean"`` (official
            code); see `delfjax.models.attention.weighted_pool`.
        normalize_weighted: Whether to L2-normalize descriptors before the weighted pooling.
        normalize_average: Whether to L2-normalize descriptors before the average of step 1.
        hidden_channels: Width of the attention's hidden layer.

    Raises:
        ValueError: If stages, layer and variant contradict each other.
    """

    variant: Variant
    trainable_stages: tuple[str, ...] = STAGES
    pooled_layer: Literal["conv4", "conv5"] = "conv4"
    batch_norm: Literal["frozen", "train"] = "frozen"
    pooling: Literal["sum", "mean"] = "mean"
    normalize_weighted: bool = True
    normalize_average: bool = False
    hidden_channels: int = HIDDEN_CHANNELS

    def __post_init__(self) -> None:
        stages = (*STAGES, "conv5") if self.pooled_layer == "conv5" else STAGES
        if unknown := set(self.trainable_stages) - set(stages):
            raise ValueError(
                f"trainable_stages contains {sorted(unknown)}; expected some of {stages}"
            )
        if self.pooled_layer == "conv5" and self.variant not in DESCRIPTOR_VARIANTS:
            raise ValueError(
                f'pooled_layer is "conv5" with variant "{self.variant}"; expected one of the variants '
                f"{DESCRIPTOR_VARIANTS}. The others do not classify average descriptors"
            )
        if (self.variant == "attention") == bool(self.trainable_stages):
            expected = "()" if self.variant == "attention" else f"some of {STAGES}"
            raise ValueError(
                f'trainable_stages is {self.trainable_stages} with variant "{self.variant}"; '
                f"expected {expected}"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How a training photo is cropped and rescaled (Secs. 4.1 and 4.2).

    Each photo is cut to its largest centered square and resized. Each step takes a random crop of
    every square, and rescales the whole batch by one random factor gamma.

    Attributes:
        resize: Side of the centered square after resizing, in pixels.
        crop: Side of the random crop, in pixels.
        gammas: Factors that a step chooses from, each above 0 and at most 1; the paper's five are
            `PAPER_GAMMAS`. The default does not rescale.

    Raises:
        ValueError: If the crop or a factor is out of range.
    """

    resize: int
    crop: int
    gammas: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise ValueError(
                f"crop is {self.crop}; expected 1 to {self.resize}, the value of resize"
            )
        if not self.gammas or min(self.gammas) <= 0 or max(self.gammas) > 1:
            raise ValueError(f"gammas are {self.gammas}; expected factors above 0 and at most 1")

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Side of the network's input for each gamma, in pixels: 180, 255, 360, 509 and 720 in the paper."""
        return tuple(round(gamma * self.crop) for gamma in self.gammas)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer and its learning rate schedule.

    The paper gives none of these values. The defaults are those of the official code (train.py): SGD
    with momentum 0.9, a learning rate that falls linearly to 0, and gradients clipped to norm 10.

    Attributes:
        steps: Number of batches.
        learning_rate: Highest learning rate.
        kind: ``"sgd"`` or ``"adamw"``.
        momentum: Momentum of SGD.
        weight_decay: Weight decay, applied to kernels only.
        clip_norm: Gradients with a larger global norm are scaled down to it.
        schedule: How the learning rate falls to 0 after the warmup. ``"constant"`` keeps it.
        warmup_fraction: Fraction of the updates in which the learning rate rises linearly from 0.
        head_learning_rate_factor: Factor on the learning rate of attention and classifiers, which
            start from random weights.

    Raises:
        ValueError: If a number is out of range.
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
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; expected at least 1")
        if not 0 <= self.warmup_fraction < 1:
            raise ValueError(
                f"warmup_fraction is {self.warmup_fraction}; expected at least 0 and below 1"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All settings of a training run.

    Attributes:
        network: What is trained, and how descriptors are pooled.
        augmentation: How photos are cropped and rescaled.
        optimizer: Optimizer, learning rate and number of steps.
        batch_size: Number of photos per batch, over all devices.
        balance_classes: Whether every class is seen equally often, whatever its number of photos.
        validation_fraction: Fraction of each class's photos to hold out, from 0 to 1. The state with
            the lowest loss on them becomes the trained model. The authors tuned on a validation set
            of unknown size.
        save_every: Number of steps between two saved and validated states.
        seed: Seed of initial weights, held-out photos, their order and their crops.
    """

    network: ClassifierConfig
    augmentation: AugmentationConfig
    optimizer: OptimizerConfig
    batch_size: int = 32
    balance_classes: bool = False
    validation_fraction: float = 0.2
    save_every: int = 1000
    seed: int = 0


def paper_config(variant: Variant = "finetune") -> TrainingConfig:
    """Return the paper's settings, and the official code's where the paper gives none.

    From the paper: how photos are cropped and rescaled. From the official code: batch size, optimizer
    and number of steps. The weight decay comes from a later re-implementation.

    Cost: meant for GPUs and some hundred thousand photos. This repository has not run it.
    """
    return TrainingConfig(
        network=ClassifierConfig(
            variant=variant, trainable_stages=() if variant == "attention" else STAGES
        ),
        augmentation=(
            AugmentationConfig(resize=250, crop=224)
            if variant == "finetune"
            else AugmentationConfig(resize=900, crop=720, gammas=PAPER_GAMMAS)
        ),
        optimizer=OptimizerConfig(steps=500_000, learning_rate=0.01),
    )


def small_config(variant: Variant = "finetune") -> TrainingConfig:
    """Return settings for some hundred photos of 320 x 240 pixels and a CPU with two cores.

    Differences from the paper: photos are smaller in step 2, only conv4 is trained, and a few epochs
    suffice. The numbers were chosen by loss and accuracy on held-out photos.

    Cost on that CPU: about six minutes for ``"finetune"`` and five for ``"attention"``. After
    ``"finetune"``, 84% of the held-out photos of 49 rendered landmarks are classified correctly (one
    seed).
    """
    kind, learning_rate, head_factor = SMALL_OPTIMIZERS[variant]
    return TrainingConfig(
        network=ClassifierConfig(
            variant=variant, trainable_stages=() if variant == "attention" else ("conv4",)
        ),
        augmentation=(
            AugmentationConfig(resize=250, crop=224)
            if variant == "finetune"
            else AugmentationConfig(resize=300, crop=240, gammas=PAPER_GAMMAS)
        ),
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
    """Return the same settings, but pool conv5 in step 1 and train it, as the official code does."""
    stages = (*config.network.trainable_stages, "conv5")
    network = replace(config.network, pooled_layer="conv5", trainable_stages=stages)
    return replace(config, network=network)
