"""Measure memory, time and compilations of an extraction as the folder grows.

Photos have 200 different sizes. The network is tiny and random, because the number of compilations does not
depend on it.
"""

import json
import logging
import resource
import tempfile
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from PIL import Image

from benchmarks.networks import random_network
from benchmarks.timing import measure, run_in_process
from delfjax.features.extract_folder import PCAConfig, extract_folder
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import PyramidConfig
from delfjax.models.backbone import ResNet
from delfjax.models.resnet import RESNET_TINY

COUNTS = (100, 500, 2000)  # photos
SIZES = 200
LONGEST = 320  # pixels


def write_photos(folder: Path, count: int) -> None:
    """Write photos of `SIZES` different sizes, with random blocks."""
    random = np.random.default_rng(0)
    sizes = random.integers(120, 481, (SIZES, 2))
    for number in range(count):
        height, width = sizes[number % SIZES].tolist()
        blocks = random.integers(0, 256, (12, 16, 3), np.uint8)
        photo = Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
        photo.save(folder / f"{number:04}.jpg")


class Compilations(logging.Handler):
    """Counts the compilations of the extraction program."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a message about one compilation."""
        self.count += record.getMessage().startswith("Finished XLA compilation of jit(_select)")


def measure_folder(folder: str) -> dict:
    """Extract a folder in this process; return seconds, memory and compilations."""
    jax.config.update("jax_log_compiles", True)
    jax.config.update("jax_enable_compilation_cache", False)
    logger = logging.getLogger("jax._src.dispatch")
    logger.handlers, logger.propagate = [handler := Compilations()], False
    config = ExtractionConfig(pyramid=PyramidConfig(longest=LONGEST), max_features=200)
    backbone = random_network(lambda: ResNet(RESNET_TINY, folded=True, rngs=nnx.Rngs(0)), 0)
    model, store = Extractor(backbone, config=config), Path(folder).with_suffix(".store")
    pca = PCAConfig(dimensions=16, photos=20)
    found, seconds = measure(lambda: extract_folder(model, folder, store, config=pca))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # on Linux
    return {
        "photos": len(found),
        "s": round(seconds, 1),
        "ms per photo": round(1000 * seconds / len(found), 1),
        "MB": round(memory, 1),
        "compilations": handler.count,
    }


def run() -> dict:
    """Measure each number of photos in a new process."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for count in COUNTS:
            folder = Path(name) / str(count)
            folder.mkdir()
            write_photos(folder, count)
            call = f"json.dumps(measure_folder({str(folder)!r}))"
            rows.append(json.loads(run_in_process(__name__, call)))
    return {
        "value": rows[-1]["compilations"],
        "what": f"programs that JAX compiles for photos of {SIZES} sizes",
        "rows": rows,
        "config": {"sizes": SIZES, "longest": LONGEST},
    }
