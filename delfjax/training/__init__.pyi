# The public names of delfjax.training. Type checkers read this file; lazy_loader imports the names on first use.
from .config import (
    AugmentationConfig,
    ClassifierConfig,
    OptimizerConfig,
    TrainingConfig,
    Variant,
    paper_config,
    small_config,
    with_conv5,
)
from .loop import TrainedModel, train
from .projection import add_projection, fit_projection

__all__ = [
    "AugmentationConfig",
    "ClassifierConfig",
    "OptimizerConfig",
    "TrainedModel",
    "TrainingConfig",
    "Variant",
    "add_projection",
    "fit_projection",
    "paper_config",
    "small_config",
    "train",
    "with_conv5",
]
