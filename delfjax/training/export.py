"""Write what a training run has learned as a model file."""

from pathlib import Path

from delfjax import provenance
from delfjax.models.backbone import descriptors_of, fold
from delfjax.models.checkpoints import save
from delfjax.training.loop import Trained


def export(trained: Trained, path: Path) -> None:
    """Write what a run has come to, and how it came to it."""
    model, config = trained.model, trained.config
    training = {
        **provenance.circumstances(config),
        "seconds": round(trained.seconds),
        "classes": len(trained.classes),
        "step": trained.step,
        **trained.validated,
    }
    changed = bool(config.network.stages)
    backbone = fold(descriptors_of(model.backbone))
    save(path, backbone, model.attention, with_backbone=changed, training=training)
