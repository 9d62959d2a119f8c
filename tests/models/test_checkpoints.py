"""Trained models as files: what is written is read back, in half precision, with its backbone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from worlds import SMALL, classes, draw, head, network, settings

from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.models import weights
from delfjax.models.backbone import ResNet, fold_batch_norm
from delfjax.models.checkpoints import KEY, load_model, read_manifest, save_model
from delfjax.models.conversion import WeightsError
from delfjax.models.resnet import RESNET50_V1, RESNET_TINY
from delfjax.training.classifier import Classifier
from delfjax.training.config import embedded, through_conv5
from delfjax.training.export import export
from delfjax.training.loop import Trained, fit

TRAINING = {"seed": 3, "hardware": "a machine"}


def parameters(module):
    return {
        ".".join(map(str, path)): np.asarray(value[...])
        for path, value in nnx.to_flat_state(nnx.state(module))
    }


def write(path, *, backbone=True, attention=True, seed=0):
    heads = head(seed) if attention else None
    save_model(path, network(seed), heads, with_backbone=backbone, training=TRAINING)
    return path


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """Put a tiny network in the place of ImageNet's."""
    monkeypatch.setattr(weights, "load_backbone", lambda spec: network(9))


# --- what is written is read back


def test_parameters_come_back_in_half_precision(tmp_path):
    backbone, attention = load_model(write(tmp_path / "model.safetensors"))
    for found, given in ((backbone, network()), (attention, head())):
        found, given = parameters(found), parameters(given)
        assert found.keys() == given.keys()
        for name, value in found.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, given[name].astype(np.float16))


def test_what_was_read_is_written_without_loss(tmp_path):
    backbone, attention = load_model(write(tmp_path / "one.safetensors"))
    save_model(
        tmp_path / "two.safetensors", backbone, attention, with_backbone=True, training=TRAINING
    )
    one, two = (read_manifest(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one == two


def test_a_backbone_alone_has_no_attention(tmp_path):
    backbone, attention = load_model(write(tmp_path / "model.safetensors", attention=False))
    assert attention is None
    assert backbone.folded


def test_manifest_says_how_it_was_made(tmp_path):
    manifest = read_manifest(write(tmp_path / "model.safetensors"))
    assert manifest["training"] == TRAINING
    assert manifest["holds"] == ["attention", "backbone"]
    assert manifest["backbone"]["name"] == "resnet_tiny"


def test_extractor_takes_what_is_loaded(tmp_path):
    backbone, attention = load_model(write(tmp_path / "model.safetensors"))
    config = ExtractionConfig(pyramid=SMALL.pyramid, selection="attention", max_features=20)
    features = Extractor(backbone, attention, config)(draw(0))
    assert len(features) == 20


# --- a backbone is kept once


def test_heads_share_the_backbone_beside_them(tmp_path):
    write(tmp_path / "tuned.safetensors", attention=False)
    for seed in range(2):
        backbone, _ = load_model(tmp_path / "tuned.safetensors")
        name = tmp_path / f"head{seed}.safetensors"
        save_model(name, backbone, head(seed), with_backbone=False, training=TRAINING)
        assert name.stat().st_size < (tmp_path / "tuned.safetensors").stat().st_size / 2
        found, attention = load_model(name)
        np.testing.assert_equal(parameters(found), parameters(backbone))
        assert parameters(attention)["score.kernel"].any()


def test_a_head_on_imagenet_finds_it(tmp_path):
    save_model(
        tmp_path / "a.safetensors", network(9), head(), with_backbone=False, training=TRAINING
    )
    write(tmp_path / "b.safetensors")  # another backbone
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "c.safetensors")  # something else
    np.testing.assert_equal(
        parameters(load_model(tmp_path / "a.safetensors")[0]), parameters(network(9))
    )


def test_a_head_without_its_backbone_is_refused(tmp_path):
    write(tmp_path / "head.safetensors", backbone=False)
    with pytest.raises(WeightsError, match=r"trained on a resnet_tiny .* put its file beside"):
        load_model(tmp_path / "head.safetensors")


# --- damage


def test_a_changed_parameter_is_noticed(tmp_path):
    path = write(tmp_path / "model.safetensors")
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["attention.score.bias"] += np.float16(0.5)
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"model\.safetensors: damaged"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"no model at all", None])
def test_other_files_are_no_models(tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is None:
        save_file({"x": np.ones(2, np.float32)}, path, metadata={"other": "1"})
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.safetensors: not a trained model of delfjax"):
        load_model(path)
    assert KEY == "delfjax"


def test_parameters_beyond_half_precision_are_refused(tmp_path):
    attention = nnx.clone(head())
    attention.score.bias.set_value(jnp.array([1e5]))
    with pytest.raises(WeightsError, match=r"attention.score.bias has values up to 1e\+05"):
        save_model(tmp_path / "m", network(), attention, with_backbone=False, training={})
    assert not (tmp_path / "m").exists()


# --- from a run


def test_steps_1_and_2_make_two_models(tmp_path):
    photos = classes(tmp_path / "photos", 3, 3)
    models = tmp_path / "models"
    tuned = fit(settings(steps=2), photos, network(9), tmp_path / "one")
    export(tuned, models / "tuned.safetensors")
    backbone, _ = load_model(models / "tuned.safetensors")
    attentive = fit(settings("attention", steps=2), photos, backbone, tmp_path / "two")
    export(attentive, models / "attention.safetensors")

    manifests = [read_manifest(models / f"{name}.safetensors") for name in ("tuned", "attention")]
    assert [manifest["holds"] for manifest in manifests] == [["backbone"], ["attention"]]
    assert manifests[0]["backbone"] == manifests[1]["backbone"]
    training = manifests[1]["training"]
    assert training["config"]["network"]["variant"] == "attention"
    assert training["config"]["seed"] == 0
    assert training["classes"] == 3
    assert {"seconds", "hardware", "versions", "validation_loss"} <= training.keys()
    found, attention = load_model(models / "attention.safetensors")
    np.testing.assert_equal(parameters(found), parameters(backbone))
    for name, value in parameters(attention).items():
        given = parameters(attentive.model.attention)[name]
        np.testing.assert_array_equal(value, given.astype(np.float16))


@pytest.mark.parametrize("conv5", [False, True])
def test_descriptors_are_kept_with_batch_norms_folded_away(tmp_path, conv5):
    """What is written sees photos as the trained network does, but for half precision, up to conv4."""
    backbone = ResNet(RESNET_TINY, conv5=conv5, rngs=nnx.Rngs(0))
    config = through_conv5(settings()) if conv5 else settings()
    model = Classifier(backbone, 3, config.network, rngs=nnx.Rngs(0))
    trained = Trained(
        config=config, model=model, step=1, log=[], seconds=1.0, classes=("a", "b"), failed={}
    )
    export(trained, tmp_path / "model.safetensors")
    found, _ = load_model(tmp_path / "model.safetensors")
    assert parameters(found).keys() == parameters(network()).keys()
    photo = jnp.asarray(draw(0)[None], jnp.float32)
    conv4, expected = (
        np.asarray(jax.jit(lambda photo, model=model: model(photo)["conv4"])(photo))
        for model in (found, fold_batch_norm(backbone))
    )
    np.testing.assert_allclose(conv4, expected, atol=0.01 * expected.max())


def test_all_models_of_the_repository_stay_below_20_megabytes():
    """One fine-tuned backbone and two heads."""
    sizes = []
    for config in (embedded("finetune"), embedded("attention"), embedded("attention")):
        model = nnx.eval_shape(
            lambda config=config: Classifier(
                ResNet(RESNET50_V1, folded=True, rngs=nnx.Rngs(0)),
                49,
                config.network,
                rngs=nnx.Rngs(0),
            )
        )
        kept = model.backbone if config.network.stages else model.attention
        sizes.append(sum(2 * leaf.size for leaf in jax.tree.leaves(nnx.state(kept))))
    assert sum(sizes) + len(sizes) * 20_000 < 20_000_000  # names and manifests
