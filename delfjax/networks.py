"""The extractor that a command's options ask for: ImageNet's weights, or a model that was trained here."""

import argparse

from delfjax import weights
from delfjax.attention import Attention
from delfjax.backbone import ResNet
from delfjax.extraction import ExtractionConfig, Extractor
from delfjax.pyramid import PyramidConfig
from delfjax.resnet import SPECS
from delfjax.store import FeatureStore, StoreError


def extractor_for(options: argparse.Namespace) -> Extractor:
    """Make the extractor that `options.model_options` describe."""
    backbone, attention = _network(options, options.backbone)
    config = ExtractionConfig(
        pyramid=PyramidConfig(longest=options.longest),
        selection=options.selection or ("attention" if attention else "norm"),
        max_features=options.max_features,
        nms_iou=options.nms_iou,
    )
    return Extractor(backbone, attention, config)


def _network(options: argparse.Namespace, name: str) -> tuple[ResNet, Attention | None]:
    """Load the model that was asked for, or ImageNet's weights, which have no attention."""
    if options.model is None:
        return weights.load(SPECS[name], file=options.weights), None
    from delfjax import checkpoints  # Orbax with it, which the other commands need not wait for

    return checkpoints.load(options.model)


def extractor_of(store: FeatureStore, options: argparse.Namespace) -> Extractor:
    """Make the extractor that a store was filled with."""
    made_by = store.made_by
    network = _network(options, made_by["backbone"])
    config = ExtractionConfig.from_dict(made_by["extraction"])
    if config.selection == "attention" and network[1] is None:
        raise StoreError(f"{store.path}: filled by a trained model; pass it with --model FILE")
    extractor = Extractor(*network, config)
    if extractor.checksum != made_by["model"]:
        raise StoreError(
            f"{store.path}: filled by other weights; pass the same with --weights or --model FILE"
        )
    return extractor
