"""Train descriptors and attention with image labels only (Secs. 4.1 and 4.2).

`train` runs one of the two steps of the paper. `TrainingConfig` holds its settings.
"""

from typing import TYPE_CHECKING

from delfjax.training.config import TrainingConfig, Variant, paper_config, small_config, with_conv5

if TYPE_CHECKING:
    from delfjax.training.loop import TrainedModel, train

__all__ = [
    "TrainedModel",
    "TrainingConfig",
    "Variant",
    "paper_config",
    "small_config",
    "train",
    "with_conv5",
]


def __getattr__(name: str) -> object:
    """Import the training loop on first use: Orbax, which it needs, takes long to import."""
    if name in ("TrainedModel", "train"):
        from delfjax.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
