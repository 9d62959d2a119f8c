"""Projections of descriptors: what they learn from matched photos, and models that hold one."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import SMALL, classes, draw, extractor, flat, head, network, save

from delfjax.cli.main import main
from delfjax.features.extraction import Extractor
from delfjax.features.global_descriptors import GlobalConfig, GlobalExtractor
from delfjax.features.pca import l2_normalize
from delfjax.models import weights
from delfjax.models.checkpoints import load_model, read_manifest, save_model
from delfjax.training import add_projection, fit_projection
from delfjax.training.projection import _differences

CHANNELS = 64
ATTENTION = replace(SMALL, selection="attention")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return three places in four photos each, which share most of their content."""
    return classes(tmp_path_factory.mktemp("projection") / "photos", 3, 4)


def projected(matrix: np.ndarray) -> Extractor:
    return Extractor(network(), add_projection(head(), matrix), ATTENTION)


def test_matched_descriptors_vary_equally_in_all_directions(photos):
    model = extractor(ATTENTION, attention=True)
    matrix, report = fit_projection(model, photos)
    assert matrix.shape == (CHANNELS, CHANNELS)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    assert sorted(report.extracted) == sorted(photos.names)
    place = [model(photos.load(name)) for name in photos.names if name.startswith("a/")]
    found = np.concatenate(_differences(place))

    def spread(differences: np.ndarray) -> float:
        variances = np.linalg.eigvalsh(differences.T @ differences)
        return float(variances[-1] / variances.sum())

    assert spread(found @ matrix) < 0.85 * spread(found)


def test_the_scores_and_positions_stay_the_same():
    matrix = np.random.default_rng(0).normal(size=(CHANNELS, 8)).astype("f4")
    plain, other = extractor(ATTENTION, attention=True)(draw(0)), projected(matrix)(draw(0))
    np.testing.assert_allclose(other.scores, plain.scores, rtol=1e-5)
    np.testing.assert_array_equal(other.positions, plain.positions)
    np.testing.assert_allclose(other.descriptors, plain.descriptors @ matrix, rtol=1e-3, atol=1e-4)
    assert projected(matrix).dimensions == 8


def test_global_descriptors_use_the_backbone_only():
    matrix = -np.eye(CHANNELS, dtype="f4")
    config = GlobalConfig(longest=64)
    one, other = (
        GlobalExtractor(model, config)(draw(0)) for model in (extractor(), projected(matrix))
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_photos_without_pairs_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"15 RANSAC inliers is 0; expected at least 2.* Fix: "):
        fit_projection(extractor(ATTENTION, attention=True), flat(tmp_path / "photos", 3))


# --- the command


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return the file of a model with an attention head on the tiny network."""
    monkeypatch.setattr(weights, "load_backbone", lambda spec, *, file=None, conv5=False: network())
    path = tmp_path / "start.safetensors"
    save_model(path, network(), head(), with_backbone=True, training={})
    return path


def command(photos, start, out) -> int:
    settings = "--longest 64 --max-features 60 --min-contrast 0"
    return main(
        ["fit-projection", str(photos), "--model", str(start), "--out", str(out), *settings.split()]
    )


def test_from_a_folder_to_a_model(photos, start, tmp_path, capsys):
    copy = tmp_path / "photos"
    for name in photos.names:
        save(copy / name, photos.load(name))
    (copy / "a" / "broken.png").write_text("no photo")
    out = tmp_path / "out.safetensors"
    assert command(copy, start, out) == 3
    assert "broken.png" in capsys.readouterr().err
    manifest = read_manifest(out)
    assert manifest["training"]["projection_of"] == "start"
    assert manifest["training"]["photos"] == len(photos)
    model = Extractor(*load_model(out), ATTENTION)
    features = [model(photos.load(name)) for name in photos.names[:2]]
    plain = [Extractor(*load_model(start), ATTENTION)(photos.load(photos.names[0]))]
    np.testing.assert_array_equal(features[0].positions, plain[0].positions)
    changed = l2_normalize(features[0].descriptors) - l2_normalize(plain[0].descriptors)
    assert np.abs(changed).max() > 0.01

    assert command(copy, out, tmp_path / "twice.safetensors") == 2
    assert "without a projection" in capsys.readouterr().err


def test_a_model_without_an_attention_head(photos, tmp_path, capsys):
    path = tmp_path / "backbone.safetensors"
    save_model(path, network(), None, with_backbone=True, training={})
    assert command(photos.root, path, tmp_path / "out.safetensors") == 2
    assert "expected a model with an attention head" in capsys.readouterr().err
