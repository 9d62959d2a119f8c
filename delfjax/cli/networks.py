"""The extractor that a command's options ask for: ImageNet's weights, a model trained here, or by hand."""

import argparse

from delfjax.features.extract_folder import LocalExtractor
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.handcrafted import SPECS as HANDCRAFTED
from delfjax.features.handcrafted import HandcraftedConfig, HandcraftedExtractor
from delfjax.features.pyramid import PyramidConfig
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError
from delfjax.models import weights
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import SPECS


def extractor_for(options: argparse.Namespace) -> LocalExtractor:
    """Make the extractor that `options.model_options` describe.

    Raises:
        ValueError: If handcrafted features are asked for together with what only a network has.
    """
    if options.local:
        return _handcrafted(options)
    backbone, attention = _network(options, options.backbone)
    config = ExtractionConfig(
        pyramid=PyramidConfig(longest=options.longest),
        selection=options.selection or ("attention" if attention else "norm"),
        max_features=options.max_features,
        nms_iou=options.nms_iou,
    )
    return Extractor(backbone, attention, config)


def name_of(options: argparse.Namespace) -> str:
    """Name where features come from, as a result's words do."""
    if options.local:
        return options.local
    return options.model.stem if options.model else "ImageNet weights"


def _handcrafted(options: argparse.Namespace) -> HandcraftedExtractor:
    given = {"--model": options.model, "--weights": options.weights}
    given |= {"--selection": options.selection, "--nms-iou": options.nms_iou < 1}
    if surplus := [name for name, value in given.items() if value]:
        raise ValueError(
            f"--local {options.local} with {', '.join(surplus)}: handcrafted features have no network, "
            "and are chosen by their response; leave out one or the other"
        )
    config = HandcraftedConfig(longest=options.longest, max_features=options.max_features)
    return HandcraftedExtractor(HANDCRAFTED[options.local], config)


def _network(options: argparse.Namespace, name: str) -> tuple[ResNet, Attention | None]:
    """Load the model that was asked for, or ImageNet's weights, which have no attention."""
    if options.model is None:
        return weights.load_backbone(SPECS[name], file=options.weights), None
    from delfjax.models import (
        checkpoints,  # Orbax with it, which the other commands need not wait for
    )

    return checkpoints.load_model(options.model)


def extractor_of(store: FeatureStore, options: argparse.Namespace) -> LocalExtractor:
    """Make the extractor that a store was filled with."""
    made_by = store.made_by
    if spec := HANDCRAFTED.get(made_by["backbone"]):
        extractor = HandcraftedExtractor(spec, HandcraftedConfig(**made_by["extraction"]))
        mend = f"they were of {made_by['model']}: install that, or extract again"
    else:
        network = _network(options, made_by["backbone"])
        config = ExtractionConfig.from_dict(made_by["extraction"])
        if config.selection == "attention" and network[1] is None:
            raise StoreError(f"{store.path}: filled by a trained model; pass it with --model FILE")
        extractor = Extractor(*network, config)
        mend = "pass the same with --weights or --model FILE"
    if extractor.checksum != made_by["model"]:
        raise StoreError(f"{store.path}: filled by other weights; {mend}")
    return extractor
