"""Parity of imported networks with TensorFlow and PyTorch. Skipped if these are not installed.

Set ``$DELFJAX_OFFICIAL`` to a folder with the official files of 2017 for the tests that need them:
``model/saved_model.pb`` (the graph) and ``love.delf``.
"""

import json
import os
import re
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorflow_networks as theirs
from tensorflow_networks import SCALES, SIZES, key, photo

import delfjax as dx
from delfjax.cli.main import main
from delfjax.features.pyramid import first_centers, level_size
from delfjax.models.checkpoints import load_model
from delfjax.models.tensor_bundle import parse_message

ROOT = Path(__file__).resolve().parents[2]
FEATURE = {"x": 2, "y": 3, "scale": 4, "strength": 6}  # fields of the message DelfFeature
TOLERANCE = 1e-4  # of the largest value; the page docs/official-weights.md has the differences


def official(name: str) -> Path:
    """Return a file of the official release of 2017. Skip the test if the folder is not given."""
    if (folder := os.environ.get("DELFJAX_OFFICIAL")) is None:
        pytest.skip(f"needs $DELFJAX_OFFICIAL, a folder with {name}")
    return Path(folder) / name


def run_tensorflow(name: str, folder: Path, *arguments: Path) -> Path:
    for package in ("tensorflow", "tf_keras")[: 1 + (name == "tf2")]:
        if find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    command = [sys.executable, theirs.__file__, name, folder, *arguments]
    subprocess.run([str(each) for each in command], check=True)
    return folder


def converted(path: Path, out: Path) -> Path:
    assert main(["import-weights", str(path), "--out", str(out)]) == 0
    return out


class Differences(dict[str, float]):
    """Largest differences of stages, relative to the largest value of the stage."""

    def add(self, name: str, found: object, expected: np.ndarray) -> None:
        found = np.asarray(found)
        assert found.shape == expected.shape, name
        assert np.std(expected) > 0.01 * np.abs(expected).max(), f"{name}: nothing to compare"
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        self[name] = max(self.get(name, 0), float(difference))

    def check(self, what: str) -> None:
        print(what, json.dumps({name: f"{value:.0e}" for name, value in self.items()}))
        assert max(self.values()) < TOLERANCE, self


def stages(file: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    """Run a network on an image, without a mosaic."""
    network, attention = load_model(file)

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
    def run(pixels: jax.Array) -> dict[str, jax.Array]:
        maps = network(pixels)
        descriptors = attention.descriptors(maps["conv4"])
        return maps | {"attention": attention(maps["conv4"])[..., None], "descriptors": descriptors}

    return jax.tree.map(np.asarray, run(image[None].astype(np.float32)))


# --- TensorFlow 1: the official graph


@pytest.fixture(scope="module")
def delf_v1(tmp_path_factory):
    graph = official("model/saved_model.pb")
    folder = run_tensorflow("delf_v1", tmp_path_factory.mktemp("delf_v1"), graph)
    return converted(folder, folder / "ours.safetensors")


def test_stages_of_the_official_graph(delf_v1):
    outputs, differences = np.load(delf_v1.with_name("outputs.npz")), Differences()
    for size in SIZES:
        found = stages(delf_v1, photo(size))
        for name in theirs.STAGES:
            values = found[name] if name == "stem" else found[name][:, ::2, ::2]
            differences.add(name, values, outputs[f"{key(size)}/{name}"])
    differences.check("delf_v1, stages")


def test_features_of_the_official_graph(delf_v1):
    """Resizing, positions, scales, scores and descriptors of a whole extraction."""
    outputs, differences = np.load(delf_v1.with_name("outputs.npz")), Differences()
    pyramid = dx.PyramidConfig(scales=SCALES, resizing="tensorflow1")
    config = dx.ExtractionConfig(pyramid=pyramid, cell_step=2, min_contrast=0, max_features=99_999)
    model = dx.load(delf_v1, config)
    for size in SIZES:
        found, image = model(photo(size)), f"{key(size)}/"
        boxes, scales = outputs[f"{image}boxes"], outputs[f"{image}scales"]
        positions = (boxes[:, :2] + boxes[:, 2:]) / 2
        rows = np.lexsort((*np.rint(positions.T), scales))
        ours = np.lexsort((*np.rint(found.positions.T), -found.scales))
        np.testing.assert_allclose(found.scales[ours], 1 / scales[rows], rtol=1e-6)
        np.testing.assert_allclose(found.positions[ours], positions[rows], atol=1e-3)
        differences.add("scores", found.scores[ours], outputs[f"{image}scores"][rows, 0])
        differences.add("descriptors", found.descriptors[ours], outputs[f"{image}features"][rows])
        # The official threshold keeps the features with this score.
        limit = float(np.sort(found.scores)[5])
        above = model.with_config(dx.ExtractionConfig(**vars(config) | {"min_score": limit}))
        assert len(above(photo(size))) == len(found) - 5
    differences.check("delf_v1, features")


def test_positions_of_the_official_features_are_cells_of_ours():
    content = official("love.delf").read_bytes()
    messages = [parse_message(each) for each in parse_message(content)[1]]
    fields = {name: [each[number][0] for each in messages] for name, number in FEATURE.items()}
    x, y, scale, score = (np.array(each, np.uint32).view(np.float32) for each in fields.values())
    assert len(score) == 546
    assert score.min() >= 100
    levels, cells = np.unique(scale), np.column_stack([y, x]) / (32 * scale[:, None])
    np.testing.assert_allclose(cells, np.rint(cells), atol=1e-4)
    counts = [int((scale == level).sum()) for level in levels]
    assert counts == [229, 122, 91, 55, 31, 13, 5]
    for level in levels:
        sides = -(-np.array(level_size((684, 1000), 1 / float(level))) // 32)
        assert (np.rint(cells[scale == level]) < sides).all()


# --- TensorFlow 2


@pytest.fixture(scope="module")
def tf2(tmp_path_factory):
    return run_tensorflow("tf2", tmp_path_factory.mktemp("tf2"))


@pytest.mark.parametrize("kind", ["saved", "checkpoint"])
@pytest.mark.parametrize("name", ["r50_delg", "r101_delg", "delf"])
def test_networks_of_tensorflow_2(name, kind, tf2):
    file = converted(tf2 / f"{name}_{kind}", tf2 / f"{name}_{kind}.safetensors")
    outputs, differences = np.load(tf2 / f"{name}.npz"), Differences()
    pyramid = dx.PyramidConfig(scales=(1.0,))
    model = dx.load(file, dx.ExtractionConfig(pyramid=pyramid, max_features=9999, min_contrast=0))
    for size in SIZES:
        found = stages(file, photo(size)) if kind == "saved" else {}
        for stage in found:
            differences.add(stage, found[stage], outputs[f"{key(size)}/{stage}"])
        features = model(photo(size))
        cells = (features.positions - first_centers(np.array(size), "tensorflow")) / 16
        np.testing.assert_allclose(cells, np.rint(cells), atol=1e-4)
        y, x = np.rint(cells).astype(int).T
        for stage, values in (
            ("attention", features.scores),
            ("descriptors", features.descriptors),
        ):
            expected = outputs[f"{key(size)}/{stage}"][0]
            assert len(features) == expected[..., 0].size
            differences.add(f"{stage} on the mosaic", values, expected[y, x].reshape(values.shape))
    differences.check(f"{name}, {kind}")


# --- PyTorch


@pytest.mark.parametrize(
    ("width", "blocks", "hidden"), [(64, (3, 4, 6, 3), 512), (8, (3, 4, 23, 3), 16)]
)
@pytest.mark.parametrize("name", ["Nashory", "Feymanpriv"])
def test_networks_of_pytorch(name, width, blocks, hidden, tmp_path, monkeypatch):
    """The file is converted by the code of the page."""
    torch = pytest.importorskip("torch")
    import torch_networks

    network = torch_networks.randomize(getattr(torch_networks, name)(width, blocks, hidden))
    monkeypatch.chdir(tmp_path)
    torch.save(network.saved(), "theirs.pth")
    page = (ROOT / "docs" / "official-weights.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import torch\n.*?)```", page, flags=re.DOTALL)
    exec(compile(code, "official-weights.md", "exec"), {})
    file = converted(tmp_path / "weights.safetensors", tmp_path / "ours.safetensors")
    pyramid, differences = dx.PyramidConfig(scales=(1.0,)), Differences()
    model = dx.load(file, dx.ExtractionConfig(pyramid=pyramid, max_features=9999, min_contrast=0))
    for size in SIZES:
        with torch.no_grad():
            descriptors, scores = (
                values[0].permute(1, 2, 0).numpy() for values in network(photo(size))
            )
        features = model(photo(size))
        y, x = np.rint(features.positions / 16).astype(int).T
        found = features.descriptors
        if name == "Feymanpriv":  # theirs have the attention as length
            found = found / np.linalg.norm(found, axis=1, keepdims=True) * features.scores[:, None]
        assert len(features) == scores.size
        differences.add("descriptors", found, descriptors[y, x])
        differences.add("attention", features.scores, scores[y, x, 0])
    differences.check(f"{name}, {blocks}")
