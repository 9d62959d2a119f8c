"""From a photo file to its features: delfjax, and plain pipelines of other libraries.

A plain pipeline does the same work in the fewest lines: it resizes the photo to the levels of the pyramid,
runs the network on each level, and keeps the features with the highest attention.
"""

import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import delfjax as dx
from benchmarks.speed.networks import MODEL, Network, peer_networks
from benchmarks.speed.race import Row, race
from delfjax.features.pyramid import RESAMPLING, level_size, limit_size

SIZES = (640, 1024)  # pixels: the longest side of the photo
FEATURES = 1000


def plain_pipeline(network: Network, path: Path, longest: int) -> tuple[np.ndarray, ...]:
    """Extract features with a network that maps a level to descriptors and attention scores."""
    photo = Image.open(path).convert("RGB")
    size = limit_size(photo.size[::-1], longest)
    photo = photo.resize(size[::-1], RESAMPLING)
    descriptors, scores = [], []
    for scale in dx.PyramidConfig().scales:
        level = photo.resize(level_size(size, scale)[::-1], RESAMPLING)
        maps, attention = network(np.asarray(level))
        descriptors.append(maps.reshape(-1, maps.shape[-1]))
        scores.append(attention.ravel())
    everything = np.concatenate(scores)
    best = np.argpartition(-everything, FEATURES)[:FEATURES]
    best = best[np.argsort(-everything[best])]
    return np.concatenate(descriptors)[best], everything[best]


def photo_file(folder: Path) -> Path:
    """Save a photo of 1024 x 683 pixels as a JPEG file."""
    path = folder / "photo.jpg"
    Image.fromarray(data.rocket()).resize((1024, 683), RESAMPLING).save(path, quality=95)
    return path


def run() -> list[Row]:
    """Measure both backends and the plain pipelines on one photo at two sizes."""
    peers, rows = peer_networks(), []
    peers.pop("torch.compile", None)  # compiles for minutes, once for each level
    backends = ("jax", "openvino") if find_spec("openvino") else ("jax",)
    with tempfile.TemporaryDirectory() as folder:
        path = photo_file(Path(folder))
        for longest in SIZES:
            pyramid = dx.PyramidConfig(longest=longest)
            config = dx.ExtractionConfig(pyramid=pyramid, max_features=FEATURES, min_contrast=0)
            models = {f"backend {name}": dx.load(MODEL, config, backend=name) for name in backends}
            ours = {
                name: lambda model=model: model(dx.read_image(path))
                for name, model in models.items()
            }
            theirs = {
                name: partial(plain_pipeline, network, path, longest)
                for name, network in peers.items()
            }
            work = f"photo file to {FEATURES:,} features, longest side {longest}"
            rows += race(work, ours, theirs)
    return rows
