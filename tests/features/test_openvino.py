"""The backend openvino: the features of JAX, clear errors, and pickling."""

import pickle
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from worlds import SMALL, draw, head, network

from delfjax.features import factory
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.models.attention import Attention
from delfjax.models.resnet import RESNET_TINY
from delfjax.ranges import ConfigError
from delfjax.training import add_projection
from delfjax.types import Features


def openvino_extractor(config: ExtractionConfig, attention: Attention | None = None) -> Extractor:
    if find_spec("openvino") is None:
        pytest.skip("the package openvino is not installed")
    return Extractor(network(), attention or head(), config, backend="openvino")


def by_position(features: Features) -> Features:
    """Sort features by position, because rounding errors may swap features of almost equal scores."""
    return features[np.lexsort((*features.positions.T, features.scales))]


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((90, 130), {"selection": "attention", "max_features": 1000}),
        ((40, 200), {"selection": "attention", "max_features": 1000}),
        ((131, 77), {"selection": "attention", "max_features": 1000}),
        ((131, 77), {"selection": "norm", "max_features": 1000, "min_contrast": 2}),
        ((131, 77), {"selection": "norm", "max_features": 20}),
        ((131, 77), {"selection": "norm", "max_features": 20, "nms_iou": 0.5}),
    ],
)
def test_features_are_those_of_jax(size: tuple[int, int], options: dict) -> None:
    config, photo = replace(SMALL, **options), draw(0, size, block=16)
    expected, found = Extractor(network(), head(), config)(photo), openvino_extractor(config)(photo)
    assert len(found) == len(expected) >= 10
    assert (np.diff(found.scores) <= 0).all()
    expected, found = by_position(expected), by_position(found)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.scales, expected.scales)
    for field in ("scores", "descriptors"):
        values = getattr(expected, field)
        limit = 1e-4 * np.abs(values).max()
        np.testing.assert_allclose(getattr(found, field), values, rtol=0, atol=limit)


def test_another_selection_uses_its_own_score() -> None:
    by_attention, by_norm = (
        replace(SMALL, selection=each, max_features=20) for each in ("attention", "norm")
    )
    model, photo = openvino_extractor(by_attention), draw(0)
    for config in (by_norm, by_attention):
        model = model.with_config(config)
        expected = Extractor(network(), head(), config)(photo)
        limit = 1e-4 * expected.scores.max()
        np.testing.assert_allclose(model(photo).scores, expected.scores, rtol=0, atol=limit)


def test_projected_descriptors_are_those_of_jax() -> None:
    matrix = np.random.default_rng(0).normal(size=(RESNET_TINY.channels, 16)).astype("f4")
    config = replace(SMALL, selection="attention", max_features=1000)
    attention = add_projection(head(), matrix)
    expected, found = (
        model(draw(0))
        for model in (
            Extractor(network(), attention, config),
            openvino_extractor(config, attention),
        )
    )
    expected, found = by_position(expected), by_position(found)
    np.testing.assert_array_equal(found.positions, expected.positions)
    limit = 1e-4 * np.abs(expected.descriptors).max()
    np.testing.assert_allclose(found.descriptors, expected.descriptors, rtol=0, atol=limit)


def test_a_copy_for_another_process_gives_the_same_features() -> None:
    model, photo = openvino_extractor(SMALL), draw(0)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model))(photo).descriptors, model(photo).descriptors
    )


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"needs the package openvino.*Fix: pip install"):
        Extractor(network(), head(), backend="openvino")


def test_handcrafted_features_have_no_backend() -> None:
    with pytest.raises(ConfigError, match="sift has no network"):
        factory.load("sift", backend="openvino")
