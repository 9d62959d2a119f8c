"""The settings of a training run, and two sets of them: the paper's, and this repository's.

Training has two steps (Sec. 4.2): first the descriptors are fine-tuned (``"finetune"``), then the attention
is learned on top of them, frozen (``"attention"``). Each is a run of its own.
"""

from dataclasses import dataclass, replace

from delfjax.training.augmentation import PAPER_GAMMAS, AugmentationConfig
from delfjax.training.classifier import STAGES, ClassifierConfig, Variant
from delfjax.training.optimizer import OptimizerConfig

# Optimizer, rate, and factor on the rate of what starts at random.
EMBEDDED_RATES: dict[Variant, tuple[str, float, float]] = {
    "finetune": ("sgd", 1e-3, 10.0),
    "attention": ("adamw", 1e-3, 1.0),
    "joint": ("adamw", 3e-5, 30.0),
    "joint-stop": ("adamw", 3e-5, 30.0),
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that determines what a run learns from its photos and from the backbone it starts with.

    Attributes:
        network: What is trained.
        augmentation: What happens to photos.
        optimizer: How parameters move, and for how long.
        batch: Photos of a batch, over all devices.
        balanced: Whether every class is seen equally often, whatever its number of photos.
        validation: Part of each class's photos that is held out; the state that did best on them is
            what a run comes to. The authors tuned on a validation set, of a size they do not say.
        save_every: Steps between two saved states, each of them validated.
        seed: Of initial weights, of the order of photos, of how they are cut.
    """

    network: ClassifierConfig
    augmentation: AugmentationConfig
    optimizer: OptimizerConfig
    batch: int = 32
    balanced: bool = False
    validation: float = 0.2
    save_every: int = 1000
    seed: int = 0


def paper(variant: Variant = "finetune") -> TrainingConfig:
    """Return the paper's settings, and the official code's where the paper is silent.

    From the paper: squares of 250 cut to 224 for the descriptors; squares of 900 cut to 720 and rescaled
    by one of five gammas for the attention. From the official code: batch, optimizer, number of steps.
    From neither: the weight decay, which is that of a later re-implementation.

    Cost: not run here. It is meant for GPUs and some hundred thousand photos.
    """
    return TrainingConfig(
        network=ClassifierConfig(variant=variant, stages=_stages(variant, STAGES)),
        augmentation=(
            AugmentationConfig(square=250, crop=224)
            if variant == "finetune"
            else AugmentationConfig(square=900, crop=720, gammas=PAPER_GAMMAS)
        ),
        optimizer=OptimizerConfig(steps=500_000, rate=0.01),
    )


def embedded(variant: Variant = "finetune") -> TrainingConfig:
    """Return settings for some hundred photos of 320 x 240 and a CPU of two cores.

    As in the paper, except that photos are smaller in step 2 (300 cut to 240, and the same gammas), that
    of the backbone only conv4 is trained, and that a few epochs are enough. None of the numbers is the
    paper's; they were chosen by loss and accuracy on the photos held out.

    Cost on that CPU: about six minutes for ``"finetune"``, five for ``"attention"``. Expect, of the photos
    of 49 rendered landmarks that were held out, 84% to be recognized after ``"finetune"`` (one seed).
    """
    kind, rate, new_rate = EMBEDDED_RATES[variant]
    return TrainingConfig(
        network=ClassifierConfig(variant=variant, stages=_stages(variant, ("conv4",))),
        augmentation=(
            AugmentationConfig(square=250, crop=224)
            if variant == "finetune"
            else AugmentationConfig(square=300, crop=240, gammas=PAPER_GAMMAS)
        ),
        optimizer=OptimizerConfig(
            steps=400, rate=rate, kind=kind, new_rate=new_rate, schedule="cosine", warmup=0.05
        ),
        batch=16 if variant == "finetune" else 32,
        balanced=True,
        save_every=50,
    )


def through_conv5(config: TrainingConfig) -> TrainingConfig:
    """Return the same settings with conv5 before the descriptors' classifier, trained with the rest.

    The official code has it there; the paper does not say what is averaged.

    Raises:
        ValueError: If the variant has no such classifier.
    """
    stages = (*config.network.stages, "conv5")
    return replace(config, network=replace(config.network, through="conv5", stages=stages))


def _stages(variant: Variant, stages: tuple[str, ...]) -> tuple[str, ...]:
    """Return which stages are trained: none of them for the attention."""
    return () if variant == "attention" else stages
