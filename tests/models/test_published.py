"""Import of published networks: parity with NumPy, TensorFlow and PyTorch, and clear errors."""

import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import bundles
import jax
import numpy as np
import pytest
import reference_resnet
from flax import nnx
from safetensors.numpy import save_file
from worlds import draw, save

import delfjax as dx
from delfjax.cli.main import main
from delfjax.features.pca import PCA
from delfjax.features.pyramid import first_centers
from delfjax.models import published
from delfjax.models.checkpoints import load_model, read_manifest
from delfjax.models.tensor_bundle import TensorBundle
from delfjax.ranges import ConfigError

ROOT = Path(__file__).resolve().parents[2]
LAYERS, WIDTH, HIDDEN, REDUCED = (1, 2, 2, 1), 8, 12, 6
CHANNELS = 16 * WIDTH
SIZES = [(97, 131), (96, 128), (81, 64), (50, 83)]  # odd and even sides, in all combinations
NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
KINDS = ["slim", "tf2", "tf2 autoencoder", "nashory", "feymanpriv"]


@cache
def backbone(*, biases: bool) -> dict[str, np.ndarray]:
    """Tensors of a network, named as in torchvision."""
    tensors = reference_resnet.made_up_tensors(1, blocks=LAYERS, width=WIDTH)
    random = np.random.default_rng(2)
    for name in [
        name for name in tensors if biases and re.search(r"(conv\d|downsample\.0)\.w", name)
    ]:
        bias = random.normal(0, 0.3, len(tensors[name])).astype(np.float32)
        tensors[name.replace("weight", "bias")] = bias
    return {name: each for name, each in tensors.items() if "batches" not in name}


@cache
def head(kind: str) -> dict[str, np.ndarray]:
    """Tensors of the layers after conv4: kernels (in, out), biases, and a batch norm."""
    random = np.random.default_rng(3)

    def layer(name: str, cin: int, cout: int) -> dict[str, np.ndarray]:
        kernel = random.normal(0, np.sqrt(1 / cin), (cin, cout))
        return {f"{name}.kernel": kernel, f"{name}.bias": random.normal(0, 0.3, cout)}

    tensors = layer("conv1", CHANNELS, HIDDEN) | layer("conv2", HIDDEN, 1)
    if kind == "slim":
        tensors["conv1.bias"] *= 0
    if kind != "nashory":
        tensors |= {
            f"bn.{part}": random.normal(0, 0.3, HIDDEN) for part in ("bias", "running_mean")
        }
        tensors |= {
            f"bn.{part}": random.uniform(0.5, 2, HIDDEN) for part in ("weight", "running_var")
        }
    if kind == "tf2 autoencoder":
        tensors |= layer("reduce", CHANNELS, REDUCED) | layer("expand", REDUCED, CHANNELS)
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def expected(kind: str, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute descriptors and scores in NumPy, as each source does."""
    tensorflow, torch = kind.startswith("tf2"), kind in ("nashory", "feymanpriv")
    values = photo.astype(float)
    if not torch:  # the reference subtracts other constants
        mean, std = reference_resnet.IMAGENET_MEAN, reference_resnet.IMAGENET_STD
        values = ((values - 128) / 128 * std + mean) * 255
    epsilon = {"slim": 1.001e-5, "nashory": 1e-5, "feymanpriv": 1e-5}.get(kind, 1e-3)
    maps = reference_resnet.forward(
        values,
        backbone(biases=tensorflow),
        stride_in="conv2" if torch else "conv1",
        epsilon=epsilon,
        tensorflow=tensorflow,
    )["conv4"]
    tensors = head(kind)

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return x @ tensors[f"{name}.kernel"].astype(float) + tensors[f"{name}.bias"]

    descriptors = maps
    if kind == "tf2 autoencoder":
        descriptors = layer("reduce", maps)
        maps = np.maximum(layer("expand", descriptors), 0)
    hidden = layer("conv1", maps)
    if kind != "nashory":
        hidden = (hidden - tensors["bn.running_mean"]) / np.sqrt(
            tensors["bn.running_var"] + epsilon
        )
        hidden = hidden * tensors["bn.weight"] + tensors["bn.bias"]
    if kind == "feymanpriv":
        descriptors = hidden
    return descriptors, np.log1p(np.exp(layer("conv2", np.maximum(hidden, 0))))[..., 0]


# --- files of each source


def slim_names() -> dict[str, np.ndarray]:
    def rename(name: str) -> str:
        name = re.sub(r"^(conv1|bn1)\.", r"conv1/\1.", name)
        name = re.sub(
            r"^layer(\d)\.(\d+)\.",
            lambda found: f"block{found[1]}/unit_{int(found[2]) + 1}/bottleneck_v1/",
            name,
        )
        name = re.sub(r"(conv\d)\.weight|(conv)\d\.weight", r"\1/weights", name)
        name = name.replace("downsample.0.weight", "shortcut/weights")
        name = re.sub(r"bn(\d)\.(\w+)", lambda f: f"conv{f[1]}/BatchNorm/{NORM[f[2]]}", name)
        name = re.sub(r"downsample\.1\.(\w+)", lambda f: f"shortcut/BatchNorm/{NORM[f[1]]}", name)
        return "resnet_v1_50/" + name.replace("conv1/conv1/", "conv1/")

    tensors = {
        rename(name): np.ascontiguousarray(each.transpose(2, 3, 1, 0) if each.ndim == 4 else each)
        for name, each in backbone(biases=False).items()
        if not name.startswith("fc")
    }
    scope = "attonly/attention/compute"
    for name, each in head("slim").items():
        layer, _, part = name.partition(".")
        if layer == "bn":
            tensors[f"{scope}/conv1/BatchNorm/{NORM[part]}"] = each
        elif part == "kernel":
            tensors[f"{scope}/{layer}/weights"] = each[None, None]
        elif layer == "conv2":
            tensors[f"{scope}/{layer}/biases"] = each
    return tensors


def tf2_tree(kind: str) -> dict:
    """Tensors of a network of TensorFlow 2, nested like its objects."""
    tree: dict = {}

    def put(path: str, value: np.ndarray) -> None:
        *folders, last = path.split("/")
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = value

    for name, each in backbone(biases=True).items():
        if name.startswith("fc"):
            continue
        *where, layer, part = name.split(".")
        path = "backbone/"
        if where and where[0] != "downsample":
            path += f"l{int(where[0][-1]) + 1}{'abcdef'[int(where[1])]}/"
        if "downsample" in where:
            layer = ("conv_shortcut", "bn_shortcut")[int(layer)]
        elif where:
            layer = layer[:-1] + "2" + "abc"[int(layer[-1]) - 1]
        elif layer == "bn1":
            layer = "bn_conv1"
        if layer.startswith("bn"):
            put(f"{path}{layer}/{NORM[part]}", each)
        elif part == "weight":
            put(f"{path}{layer}/kernel", np.ascontiguousarray(each.transpose(2, 3, 1, 0)))
        else:
            put(f"{path}{layer}/bias", each)
    for name, each in head(kind).items():
        layer, _, part = name.partition(".")
        folder = "attention"
        if layer in ("reduce", "expand"):
            folder, layer = "autoencoder", {"reduce": "conv1", "expand": "conv2"}[layer]
        if layer == "bn":
            put(f"{folder}/bn_conv1/{NORM[part]}", each)
        else:
            put(f"{folder}/{layer}/{part}", each[None, None] if part == "kernel" else each)
    return tree


def tf2_checkpoint(prefix, kind: str):
    """Write a checkpoint whose keys are numbers, as in a SavedModel."""
    tensors: dict[str, np.ndarray] = {}

    def name(tree: dict) -> dict:
        found = {}
        for each, value in tree.items():
            if isinstance(value, dict):
                found[each] = name(value)
            else:
                key = f"_model/variables/{len(tensors)}/.ATTRIBUTES/VARIABLE_VALUE"
                tensors[key], found[each] = value, key
        return found

    tree = name(tf2_tree(kind))
    graph = bundles.object_graph({"save_counter": {}, "signatures": {}, "_model": tree})
    return bundles.write(prefix, tensors | {published.OBJECT_GRAPH: graph})


def torch_tensors(kind: str) -> dict[str, np.ndarray]:
    found = {}
    for name, each in backbone(biases=False).items():
        if kind == "nashory":
            name = re.sub(r"^layer(\d)", lambda match: f"base.{int(match[1]) + 3}", name)
            name = re.sub(
                r"^(conv1|bn1)\.", lambda m: f"base.{['conv1', 'bn1'].index(m[1])}.", name
            )
        else:
            if name == "conv1.weight":
                each = np.ascontiguousarray(each[:, ::-1])  # BGR
            name = name.replace("downsample.0", "proj").replace("downsample.1", "bn")
            name = re.sub(
                r"^layer(\d)\.(\d)", lambda m: f"globalmodel.s{m[1]}.b{int(m[2]) + 1}", name
            )
            name = re.sub(r"(?<=\.)conv(\d)\.", lambda m: f"f.{'abc'[int(m[1]) - 1]}.", name)
            name = re.sub(r"(?<=\.)bn(\d)\.", lambda m: f"f.{'abc'[int(m[1]) - 1]}_bn.", name)
            name = re.sub(r"^conv1", "globalmodel.stem.conv", name)
            name = re.sub(r"^bn1", "globalmodel.stem.bn", name)
        if not name.startswith(("fc", "base.7")):
            found[name] = each
    prefix = "attn" if kind == "nashory" else "localmodel"
    for name, each in head(kind).items():
        is_kernel = name.endswith("kernel")
        value = np.ascontiguousarray(each.T[:, :, None, None]) if is_kernel else each
        found[f"{prefix}.{name.replace('kernel', 'weight')}"] = value
    return found


def write(folder, kind: str):
    """Write the files of a source, and return the path for the command."""
    folder.mkdir(exist_ok=True)
    if kind == "slim":
        bundles.write(folder / "model/variables/variables", slim_names(), compressed=True)
        return folder
    if kind.startswith("tf2"):
        tf2_checkpoint(folder / "variables/variables", kind)
        return folder
    save_file(torch_tensors(kind), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def convert(path, out, *options) -> int:
    return main(["import-weights", str(path), "--out", str(out), *options])


# --- parity


def check_parity(file, size, reference: Callable) -> None:
    """Compare the features of the full-size level with descriptors and scores of all cells."""
    pyramid = dx.PyramidConfig(scales=(1.0,))
    model = dx.load(file, dx.ExtractionConfig(pyramid=pyramid, max_features=9999, min_contrast=0))
    photo = draw(4, size)
    features = model(photo)
    descriptors, scores = reference(photo)
    assert np.std(scores) > 0.01 * np.mean(scores)
    assert len(features) == scores.size
    offsets = features.positions - first_centers(np.array(size), model.spec.padding)
    cells = np.rint(offsets / 16).astype(int)
    np.testing.assert_allclose(offsets, 16 * cells, atol=1e-4)
    y, x = cells.T
    limit = 1e-4 * np.abs(descriptors).max()
    np.testing.assert_allclose(features.descriptors, descriptors[y, x], rtol=0, atol=limit)
    np.testing.assert_allclose(features.scores, scores[y, x], rtol=1e-4)
    (heat,) = model.score_maps(photo).attention
    np.testing.assert_allclose(heat, scores, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_source(kind, tmp_path, capsys):
    out = tmp_path / "ours.safetensors"
    assert convert(write(tmp_path / "theirs", kind), out) == 0
    size = {"tf2 autoencoder": REDUCED, "feymanpriv": HIDDEN}.get(kind, CHANNELS)
    assert f"blocks (1, 2, 2), {size} dimensions" in capsys.readouterr().out
    for photo_size in SIZES[: {"tf2": 4, "tf2 autoencoder": 2}.get(kind, 1)]:
        check_parity(out, photo_size, lambda photo: expected(kind, photo))


def test_levels_that_are_too_small_for_a_cell(tmp_path):
    """With the padding of TensorFlow, a side of 5 pixels has no cell."""
    out = tmp_path / "ours.safetensors"
    convert(write(tmp_path / "theirs", "tf2"), out)
    config = dx.ExtractionConfig(
        pyramid=dx.PyramidConfig(scales=(0.05, 1.0)), max_features=9999, min_contrast=0
    )
    model = dx.load(out, config)
    for size in ((50, 83), (83, 50)):
        maps = model.score_maps(draw(4, size))
        assert [heat.size for heat in maps.attention] == [0, maps.attention[1].size]
        assert len(model(draw(4, size))) == maps.attention[1].size > 10
        np.testing.assert_array_equal(maps.heatmap(level=0), np.zeros(size))
        assert maps.heatmap().shape == size


# --- the command


def test_the_pca_is_written_next_to_the_model(tmp_path, capsys):
    random, size = np.random.default_rng(0), CHANNELS
    matrix = np.linalg.qr(random.normal(0, 1, (size, size)))[0].astype(np.float32)
    mean, variances = random.normal(0, 0.01, (2, size)).astype(np.float32)
    folder = write(tmp_path / "theirs", "slim")
    (folder / "pca").mkdir()
    arrays = {"mean": mean[None], "pca_proj_mat": matrix, "pca_variances": variances[None]}
    for name, array in arrays.items():
        (folder / "pca" / f"{name}.datum").write_bytes(bundles.datum(array))
    # The folder of the archive, that of the model, and the checkpoint have the same PCA.
    for path in (folder, folder / "model", folder / "model/variables/variables.index"):
        out = tmp_path / "ours.safetensors"
        assert convert(path, out, "--dimensions", "5") == 0
        assert "ours_pca.safetensors: written, the PCA of" in capsys.readouterr().out
        pca = PCA.load(tmp_path / "ours_pca.safetensors")
        (tmp_path / "ours_pca.safetensors").unlink()
        # The official code: normalize, subtract the mean, multiply by the first rows, normalize.
        x = random.normal(0, 1, (7, size)).astype(np.float32)
        y = (x / np.linalg.norm(x, axis=1, keepdims=True) - mean) @ matrix[:5].T
        y /= np.linalg.norm(y, axis=1, keepdims=True)
        np.testing.assert_allclose(pca(x), y, rtol=0, atol=1e-5)
    assert convert(folder, out, "--dimensions", str(size + 1)) == 1
    assert f"at least {size + 1} rows" in capsys.readouterr().err
    (folder / "pca/pca_proj_mat.datum").unlink()
    assert convert(folder, out) == 1
    assert "pca_proj_mat.datum: No such file" in capsys.readouterr().err


def test_known_checksums_are_reported(tmp_path, capsys, monkeypatch):
    path, out = write(tmp_path / "theirs", "slim"), tmp_path / "ours.safetensors"
    assert convert(path, out) == 0
    assert "the checksum matches no known release" in capsys.readouterr().out
    assert read_manifest(out)["training"]["published_as"] is None
    digest = TensorBundle(path / "model/variables/variables.index").digest
    monkeypatch.setattr(published, "DELF_V1_DIGEST", digest)
    assert convert(path, out) == 0
    assert "all tensors are those of delf_v1_20171026" in capsys.readouterr().out
    assert read_manifest(out)["training"]["published_as"] == "delf_v1_20171026"


def test_a_model_file_holds_the_specification_in_single_precision(tmp_path):
    out = tmp_path / "ours.safetensors"
    convert(write(tmp_path / "theirs", "tf2 autoencoder"), out)
    model, (backbone_, attention) = published.read_published(tmp_path / "theirs"), load_model(out)
    assert backbone_.spec == model.backbone.spec
    assert backbone_.spec.padding == "tensorflow"
    for ours, theirs in ((backbone_, model.backbone), (attention, model.attention)):
        jax.tree.map(np.testing.assert_array_equal, nnx.state(ours), nnx.state(theirs))


@pytest.mark.parametrize("place", ["model/variables", "model/variables/variables"])
def test_every_path_to_a_checkpoint(place, tmp_path):
    folder = write(tmp_path / "theirs", "slim")
    assert convert(folder / place, tmp_path / "ours.safetensors") == 0


# --- refusals


def refusal(tmp_path, capsys, path) -> str:
    assert convert(path, tmp_path / "ours.safetensors") == 1
    message = capsys.readouterr().err
    assert message.startswith(f"delfjax import-weights: {path}")
    assert "Fix: " in message
    assert not (tmp_path / "ours.safetensors").exists()
    return message


def slim_checkpoint(folder, **changes):
    tensors = slim_names()
    for name, value in changes.items():
        (full,) = [each for each in tensors if each.endswith(name)]
        if value is None:
            del tensors[full]
        else:
            tensors[full] = value
    return bundles.write(folder / "model.ckpt", tensors).parent


def test_missing_and_misshapen_tensors(tmp_path, capsys):
    block = "block2/unit_1/bottleneck_v1/conv2/weights"
    head_ = "attention/compute/conv1/weights"
    one = np.ones
    cases = {
        "1 (block2/unit_1/bottleneck_v1/conv2/weights) missing": {block: None},
        f"tensor {block} has shape (3, 3, 16, 15); expected (3, 3, 16, 16)": {
            block: one((3, 3, 16, 15), np.float32)
        },
        "attention head does not fit the network delf_slim ('conv1/weights' is missing": {
            head_: None
        },
        "it takes 7 channels, not 128": {head_: one((1, 1, 7, HIDDEN), np.float32)},
        "its kernels have the shapes [(3, 3, 128, 12)": {head_: one((3, 3, 128, 12), np.float32)},
        "score.kernel has shape (1, 1, 13, 1)": {
            "compute/conv2/weights": one((1, 1, 13, 1), np.float32)
        },
    }
    for number, (message, changes) in enumerate(cases.items()):
        path = slim_checkpoint(tmp_path / str(number), **changes)
        assert message in refusal(tmp_path, capsys, path)


def test_a_damaged_tensor_is_named(tmp_path, capsys):
    path = write(tmp_path / "theirs", "slim")
    data = path / "model/variables/variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    bundle = TensorBundle(path / "model/variables/variables.index")
    name = "resnet_v1_50/block2/unit_1/bottleneck_v1/conv2/weights"
    content[bundle.entries[name].offset] ^= 16
    data.write_bytes(content)
    assert f"the tensor {name} has the checksum" in refusal(tmp_path, capsys, path)


def test_other_files(tmp_path, capsys):
    other = bundles.write(tmp_path / "other/model", {"dense/kernel": np.ones(3, np.float32)})
    assert "found the tensors dense/kernel, ...; expected" in refusal(
        tmp_path, capsys, other.parent
    )
    save_file({"fc.weight": np.ones(3, np.float32)}, tmp_path / "other.safetensors")
    message = refusal(tmp_path, capsys, tmp_path / "other.safetensors")
    assert "found the tensors fc.weight, ...; expected those of DeLF-pytorch" in message
    (tmp_path / "model.pth").write_bytes(b"\x80\x02.")
    message = refusal(tmp_path, capsys, tmp_path / "model.pth")
    assert "never loaded, because they can run code" in message
    for missing in ("none.safetensors", "none.index", "none"):
        assert "no such file" in refusal(tmp_path, capsys, tmp_path / missing)
    bundles.write(tmp_path / "two/a", slim_names())
    bundles.write(tmp_path / "two/b", slim_names())
    message = refusal(tmp_path, capsys, tmp_path / "two")
    assert "found several checkpoints: a.index, b.index" in message
    graph = {published.OBJECT_GRAPH: b"\x0b"}
    damaged = bundles.write(tmp_path / "graph/model", graph)
    assert "expected an object graph" in refusal(tmp_path, capsys, damaged.parent)


def test_a_wrong_output_is_refused_before_any_work(tmp_path, capsys):
    source = write(tmp_path / "theirs", "nashory")
    for out in (tmp_path / "ours.npz", tmp_path, source):
        assert convert(source, out) == 2
        assert f"--out {out}" in capsys.readouterr().err


def test_openvino_runs_only_what_it_supports(tmp_path):
    out = tmp_path / "ours.safetensors"
    for kind in ("tf2", "feymanpriv"):
        convert(write(tmp_path / kind, kind), out)
        with pytest.raises(ConfigError, match=r"cannot run .* TensorFlow padding"):
            dx.load(out, backend="openvino")


# --- the page


PAGE = (ROOT / "docs" / "official-weights.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_commands_and_the_code_of_the_page_run(tmp_path, monkeypatch):
    """A small network stands for that of the paper. PyTorch has a test of its own."""
    folder = write(tmp_path / "delf_v1_20171026", "slim")
    (folder / "pca").mkdir()
    arrays = {"mean": CHANNELS, "pca_proj_mat": (CHANNELS, CHANNELS), "pca_variances": CHANNELS}
    for name, shape in arrays.items():
        array = np.random.default_rng(0).uniform(0.1, 1, shape).astype(np.float32)
        (folder / "pca" / f"{name}.datum").write_bytes(bundles.datum(array))
    for name in ("ONE.jpg", "OTHER.jpg", "PHOTOS/one.jpg"):
        save(tmp_path / name, draw(0, (96, 200)))
    monkeypatch.chdir(tmp_path)
    quick = {"match": "--max-features 60", "extract": "--max-features 60 --dimensions 8"}
    names: dict[str, object] = {}
    ran = 0
    for language, block in BLOCKS:
        for words in map(shlex.split, block.splitlines() if not language else ()):
            assert words[0] in ("tar", "delfjax")
            if words[0] == "delfjax":
                assert main([*words[1:], *quick.get(words[1], "").split()]) == 0
        if language == "python" and "import torch" not in block:
            exec(compile(block, "official-weights.md", "exec"), names)
            ran += 1
    assert ran == 6
    assert {language for language, _ in BLOCKS} == {"", "python"}
