"""Save and load models: half precision, shared backbones, damaged files, and the zoo."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from worlds import head, network

from delfjax.models import weights
from delfjax.models.checkpoints import (
    load_model,
    model_path,
    needs_imagenet,
    read_manifest,
    save_model,
)
from delfjax.models.conversion import WeightsError
from delfjax.models.resnet import RESNET50_V1
from delfjax.models.zoo import zoo

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
def imagenet_backbone(monkeypatch):
    """Replace the ImageNet weights by a tiny network."""
    monkeypatch.setattr(weights, "load_backbone", lambda spec, file: network(int(file or 9)))


# --- round trip


def test_parameters_are_saved_in_half_precision(tmp_path):
    backbone, attention = load_model(write(tmp_path / "model.safetensors"))
    for found, given in ((backbone, network()), (attention, head())):
        found, given = parameters(found), parameters(given)
        assert found.keys() == given.keys()
        for name, value in found.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, given[name].astype(np.float16))


def test_loaded_model_is_saved_without_loss(tmp_path):
    backbone, attention = load_model(write(tmp_path / "one.safetensors"))
    save_model(
        tmp_path / "two.safetensors", backbone, attention, with_backbone=True, training=TRAINING
    )
    one, two = (read_manifest(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one == two


def test_backbone_without_attention(tmp_path):
    backbone, attention = load_model(write(tmp_path / "model.safetensors", attention=False))
    assert attention is None
    assert backbone.folded


def test_manifest_describes_parts_and_training(tmp_path):
    manifest = read_manifest(write(tmp_path / "model.safetensors"))
    assert manifest["training"] == TRAINING
    assert manifest["holds"] == ["attention", "backbone"]
    assert manifest["backbone"]["name"] == "resnet_tiny"


# --- shared backbones


def test_heads_share_the_backbone_in_their_folder(tmp_path):
    write(tmp_path / "tuned.safetensors", attention=False)
    for seed in range(2):
        backbone, _ = load_model(tmp_path / "tuned.safetensors")
        name = tmp_path / f"head{seed}.safetensors"
        save_model(name, backbone, head(seed), with_backbone=False, training=TRAINING)
        assert name.stat().st_size < (tmp_path / "tuned.safetensors").stat().st_size / 2
        found, attention = load_model(name)
        np.testing.assert_equal(parameters(found), parameters(backbone))
        assert parameters(attention)["score.kernel"].any()


def test_head_on_imagenet_loads_the_imagenet_backbone(tmp_path):
    save_model(
        tmp_path / "a.safetensors", network(9), head(), with_backbone=False, training=TRAINING
    )
    write(tmp_path / "b.safetensors")  # a model with another backbone
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "c.safetensors")  # not a model
    np.testing.assert_equal(
        parameters(load_model(tmp_path / "a.safetensors")[0]), parameters(network(9))
    )


def test_head_without_its_backbone_is_refused(tmp_path):
    write(tmp_path / "head.safetensors", backbone=False)
    with pytest.raises(
        WeightsError, match=r"needs the backbone resnet_tiny .* Fix: copy the model file that holds"
    ):
        load_model(tmp_path / "head.safetensors")


def test_head_on_imagenet_loads_the_backbone_from_a_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_model(path, network(8), head(), with_backbone=False, training=TRAINING)
    assert needs_imagenet(path)
    np.testing.assert_equal(parameters(load_model(path, imagenet="8")[0]), parameters(network(8)))
    with pytest.raises(WeightsError, match="and 7 has the checksum"):
        load_model(path, imagenet="7")


def test_model_with_its_backbone_needs_no_imagenet_weights(tmp_path):
    path = write(tmp_path / "a.safetensors")
    backbone, attention = load_model(path)
    save_model(tmp_path / "b", backbone, attention, with_backbone=False, training=TRAINING)
    assert not needs_imagenet(path)
    assert not needs_imagenet(tmp_path / "b")  # the other file holds its backbone


# --- damaged and wrong files


def test_changed_parameter_is_refused(tmp_path):
    path = write(tmp_path / "model.safetensors")
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["attention.score.bias"] += np.float16(0.5)
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"model\.safetensors: damaged; .*checksum"):
        load_model(path)


@pytest.mark.parametrize(
    ("value", "half_precision", "found"),
    [
        (1e5, True, r"1e\+05; expected at most 65504, the limit of float16"),
        (float("nan"), True, "nan"),
        (float("nan"), False, r"nan; expected at most 3.40282e\+38, the limit of float32"),
    ],
)
def test_parameters_beyond_the_precision_are_refused(tmp_path, value, half_precision, found):
    attention, options = nnx.clone(head()), {"with_backbone": False, "training": {}}
    attention.score.bias.set_value(jnp.array([value]))
    with pytest.raises(WeightsError, match=f"attention.score.bias has values up to {found}"):
        save_model(tmp_path / "m", network(), attention, half_precision=half_precision, **options)
    assert not (tmp_path / "m").exists()


# --- the zoo and older files


def test_models_of_the_zoo_are_smaller_than_25_megabytes():
    assert sum(path.stat().st_size for path in zoo().values()) < 25_000_000


def test_zoo_models_are_found_by_name_or_path(tmp_path):
    assert set(zoo()) == {"delf_att", "delf_att_projected", "delf_ft", "delf_ft_att"}
    for name, path in zoo().items():
        assert model_path(name) == model_path(path) == path
        training = read_manifest(name)["training"]
        if name == "delf_att_projected":  # not trained, and without a seed
            assert training["projection_of"] == "delf_att"
        else:
            assert training["config"]["seed"] == 0
    own = write(tmp_path / "own.safetensors")
    assert model_path(str(own)) == own


def test_unknown_model_is_refused_with_the_names_of_the_zoo(tmp_path):
    for load in (model_path, read_manifest, load_model):
        with pytest.raises(
            WeightsError,
            match=r"delf_at: no such .* delf_att, delf_att_projected, delf_ft, delf_ft_att",
        ):
            load("delf_at")
    with pytest.raises(WeightsError, match="not a model file"):
        model_path(tmp_path)


def test_fine_tuned_zoo_model_loads_with_its_backbone():
    backbone, attention = load_model("delf_ft_att")
    assert backbone.spec == RESNET50_V1
    assert attention is not None
    assert load_model("delf_ft")[1] is None


def test_model_written_by_version_0_1_0_loads():
    backbone, attention = load_model(Path("tests/data/v0_1_0/model.safetensors"))
    for found, original in ((backbone, network()), (attention, head())):
        found, original = parameters(found), parameters(original)
        assert found.keys() == original.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, original[name].astype(np.float16), err_msg=name)
