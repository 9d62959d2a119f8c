"""The settings of a training run, and two presets: one of the paper, and a small one for a CPU.

Training has two steps (Sec. 4.2 of the paper). Step 1 (``"finetune"``) fine-tunes the descriptors. Step 2
(``"attention"``) trains the attention on frozen descriptors. Each step is a separate run. In this package,
"update" means one change of the parameters, computed from one batch.
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

Variant = Literal["finetune", "attention", "joint", "joint-stop"]
STAGES = ("stem", "conv2", "conv3", "conv4")  # stages of the backbone up to the descriptors
DESCRIPTOR_VARIANTS = ("finetune", "joint-stop")  # variants that classify average descriptors
PAPER_GAMMAS = (0.25, 0.3536, 0.5, 0.7072, 1.0)  # Sec. 4.2; an author confirms equal chances

# Values of kind, learning_rate and head_learning_rate_factor in `small_config`.
SMALL_OPTIMIZERS: dict[Variant, tuple[Literal["sgd", "adamw"], float, float]] = {
    "finetune": ("sgd", 1e-3, 10.0),
    "attention": ("adamw", 1e-3, 1.0),
    "joint": ("adamw", 3e-5, 30.0),
    "joint-stop": ("adamw", 3e-5, 30.0),
}


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Settings of the training network: which parts are trained, and how descriptors are pooled (Fig. 4).

    Attributes:
        variant: ``"finetune"`` is step 1 of the paper, ``"attention"`` is step 2. ``"joint"`` trains
            descriptors and attention at once, with the classifier of step 2; the paper found this
            unstable. ``"joint-stop"`` also trains both at once, with one classifier each. The
            gradient of the attention stops before the backbone, as in the official code.
        trainable_stages: Stages (blocks of layers) of the backbone to train; ``()`` for
            ``"attention"``. The paper trains all stages in step 1. Freezing the first ones saves time
            on a CPU. Only kernels of convolutions are trained. Batch norms stay frozen, which suits
            small batches.
        pooled_layer: Layer whose average is classified in step 1. The paper does not name the layer;
            the official code uses ``"conv5"``. Descriptors come from conv4 in both cases, and model
            files do not contain conv5.
        pooling: Pooling of the descriptors weighted by attention scores: ``"sum"`` (Eq. 1) or
            ``"mean"`` (official code); see `delfjax.models.attention.weighted_pool`.
        normalize_weighted: Whether to L2-normalize descriptors before the weighted pooling.
        normalize_average: Whether to L2-normalize descriptors before the average of step 1.
        hidden_channels: Number of channels of the hidden layer of the attention.

    Raises:
        ConfigError: If ``trainable_stages`` or ``pooled_layer`` does not fit the variant.
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
                f"trainable_stages contains {sorted(unknown)}; expected only stages among {stages}"
            )
        if self.pooled_layer == "conv5" and self.variant not in DESCRIPTOR_VARIANTS:
            raise ConfigError(
                f'pooled_layer is "conv5" with variant "{self.variant}"; expected one of the variants '
                f'{DESCRIPTOR_VARIANTS} for conv5. Fix: set pooled_layer="conv4", or choose another variant'
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

    Each photo is cropped to its largest centered square, and the square is resized. Each update takes
    a random crop of every square, and rescales all crops of the batch by one random factor gamma.

    Attributes:
        resize: Side of the centered square after resizing, in pixels.
        crop: Side of the random crop, in pixels.
        gammas: Factors above 0, at most 1, from which each update chooses one at random.
            `PAPER_GAMMAS` are the five factors of the paper. The default does not rescale.

    Raises:
        ConfigError: If the crop is larger than the square, or a factor is out of range.
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
        """Sides of the rescaled crops in pixels, one per factor in ``gammas``. In the paper: 180 to 720."""
        return tuple(round(gamma * self.crop) for gamma in self.gammas)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Settings of the optimizer and of the learning rate over time.

    The paper gives none of these values. Momentum, clipping and the linear schedule are taken from
    ``train.py`` of the official code, and the weight decay from a later re-implementation.

    Attributes:
        steps: Number of updates of the parameters, one per batch.
        learning_rate: Highest learning rate.
        kind: Optimizer: ``"sgd"`` or ``"adamw"``.
        momentum: Momentum of SGD. AdamW does not use it.
        weight_decay: Weight decay of the kernels. Biases, scales and shifts have none.
        clip_norm: Maximum L2 norm of the gradient of all parameters together. A larger gradient is
            scaled down to this norm.
        schedule: Curve of the learning rate after the warmup. ``"linear"`` and ``"cosine"`` fall to 0.
        warmup_fraction: Fraction of the updates, below 1, in which the learning rate rises linearly
            from near 0.
        head_learning_rate_factor: Factor for the learning rate of attention head and classifiers,
            which start from random weights.

    Raises:
        ConfigError: If ``steps`` or ``warmup_fraction`` is out of range.
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
        network: Settings of the network: trained parts and pooling.
        augmentation: Settings of the random crops and scales of photos.
        optimizer: Optimizer, learning rate and number of updates.
        batch_size: Number of photos per batch, summed over all devices.
        balance_classes: Whether training sees all classes equally often, whatever their sizes.
        validation_fraction: Fraction of the photos of each class that is held out for validation,
            from 0 to 1. The trained model is the saved state with the lowest loss on these photos. The
            paper does not give the size of its validation set.
        save_every: Number of updates between two saved states, which are validated when they are saved.
        seed: Seed of all random choices: initial weights, held-out photos, order of photos, and crops.
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
    """Return the training settings of the paper, for GPUs and a few hundred thousand photos.

    The crops and scales of photos come from the paper. Batch size, optimizer and number of updates
    come from the official code, and the weight decay from a later re-implementation. The authors of
    this package have not run such a training.

    Args:
        variant: What to train; `ClassifierConfig` explains the variants.
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
    """Return training settings for a CPU with two cores and a few hundred photos of 320 x 240 pixels.

    Differences from the paper: step 1 trains only conv4 of the backbone, step 2 uses smaller crops,
    and training takes a few epochs only. The values were chosen by the loss and accuracy on held-out
    photos. On such a CPU, ``"finetune"`` takes about six minutes, and ``"attention"`` about five. On 49
    rendered landmarks and with one random seed, the network classifies 84% of the held-out photos
    correctly after step 1.

    Args:
        variant: What to train; `ClassifierConfig` explains the variants.
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
    """Return a copy of the settings in which step 1 also trains conv5, and classifies its average output."""
    stages = (*config.network.trainable_stages, "conv5")
    network = replace(config.network, pooled_layer="conv5", trainable_stages=stages)
    return replace(config, network=network)
