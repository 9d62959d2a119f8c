"""Write what a training run has learned as a model file."""

from pathlib import Path

from delfjax import provenance
from delfjax.models.backbone import cut_at_conv4, fold_batch_norm
from delfjax.models.checkpoints import save_model
from delfjax.training.loop import Trained


def export(trained: Trained, path: Path) -> None:
    """Write what a run has come to, and how it came to it."""
    model, config = trained.model, trained.config
    training = {
        **provenance.describe(config),
        "seconds": round(trained.seconds),
        "classes": len(trained.classes),
        "step": trained.step,
        **trained.validated,
    }
    changed = bool(config.network.stages)
    backbone = fold_batch_norm(cut_at_conv4(model.backbone))
    save_model(path, backbone, model.attention, with_backbone=changed, training=training)
