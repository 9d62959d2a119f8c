"""Measure the network in single and half precision, and extraction and training in single precision.

The rate of the network is compared with that of a matrix product on the same device. XLA counts the
operations. On a CPU, the photo is smaller.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import delfjax as dx
from benchmarks.speed.networks import MODEL, load_network
from benchmarks.speed.training import CLASSES, our_update
from benchmarks.timing import measure
from delfjax.features.extraction import Extractor, level_mask
from delfjax.features.pyramid import build_mosaic
from delfjax.models.checkpoints import load_model, model_path
from delfjax.training.config import small_config

ON_CPU = jax.default_backend() == "cpu"
PHOTO = (240, 320) if ON_CPU else (768, 1024)  # height and width in pixels
PRODUCT = 2048 if ON_CPU else 8192  # rows and columns of the matrices
PHOTOS, ROUNDS = (4, 3) if ON_CPU else (100, 5)
TYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def seconds(function: Callable[[], Any]) -> float:
    """Return the median seconds of a function whose result is an array of JAX, after one run."""
    jax.block_until_ready(function())
    return float(
        np.median([measure(lambda: jax.block_until_ready(function()))[1] for _ in range(ROUNDS)])
    )


def matrix_rate(dtype: jnp.dtype) -> float:
    """Return the operations per second of a matrix product."""
    matrix = jnp.ones((PRODUCT, PRODUCT), dtype)
    product = jax.jit(jnp.matmul)
    return 2 * PRODUCT**3 / seconds(lambda: product(matrix, matrix))


def network_rows(photo: np.ndarray) -> list[dict]:
    """Measure the network on one mosaic, which holds the seven levels of a photo."""
    mosaic, rows = build_mosaic(photo, dx.PyramidConfig(longest=max(PHOTO))), []
    pixels = jnp.asarray(mosaic.pixels)
    valid = level_mask(pixels.shape[:2], jnp.asarray(mosaic.levels))
    for name, dtype in TYPES.items():
        network = load_network()
        for _, layer in nnx.iter_modules(network):
            if isinstance(layer, nnx.Conv):
                layer.dtype = dtype
        graph, state = nnx.split(network)

        @jax.jit
        def forward(state: nnx.State, graph: nnx.GraphDef = graph) -> tuple[jax.Array, dict]:
            return nnx.merge(graph, state)(pixels, valid)

        operations = forward.lower(state).compile().cost_analysis()["flops"]
        taken, rate = seconds(lambda s=state, f=forward: f(s)), matrix_rate(dtype)
        rows.append(
            {
                "work": f"network, seven levels of {PHOTO[1]} x {PHOTO[0]}, {name}",
                "per second": round(1 / taken, 3),
                "GFLOP": round(operations / 1e9, 1),
                "GFLOP/s": round(operations / taken / 1e9, 1),
                "matrix product, GFLOP/s": round(rate / 1e9, 1),
                "share": round(operations / taken / rate, 3),
            }
        )
    return rows


def extraction_row(photo: np.ndarray) -> dict:
    """Measure the stream of photos: resizing, network and selection."""
    config = dx.ExtractionConfig(pyramid=dx.PyramidConfig(longest=max(PHOTO)))
    model = dx.load(MODEL, config)
    assert isinstance(model, Extractor)
    photos = [(str(number), photo) for number in range(PHOTOS)]
    list(model.stream(photos[:2]))
    _, taken = measure(lambda: list(model.stream(photos)))
    return {
        "work": f"photo to features, {PHOTO[1]} x {PHOTO[0]}, float32",
        "per second": round(PHOTOS / taken, 3),
    }


def training_row(variant: str) -> dict:
    """Measure the updates of a training stage with the settings for small machines."""
    config = small_config(variant)
    side, crop = config.augmentation.resize, config.augmentation.crop
    random = np.random.default_rng(0)
    squares = random.integers(0, 256, (config.batch_size, side, side, 3), np.uint8)
    labels = random.integers(0, CLASSES, config.batch_size)
    backbone, _ = load_model(model_path(MODEL, ()))
    update = our_update(config, backbone, squares, labels)
    return {
        "work": f"update of training ({variant}), {config.batch_size} crops of {crop} pixels",
        "per second": round(1 / seconds(update), 3),
    }


def run() -> dict:
    """Measure the network, extraction and both stages of training."""
    photo = np.random.default_rng(0).integers(0, 256, (*PHOTO, 3), np.uint8)
    rows = [*network_rows(photo), extraction_row(photo)]
    rows += [training_row(variant) for variant in ("finetune", "attention")]
    return {
        "value": rows[2]["per second"],
        "what": "photos per second, from pixels to features",
        "rows": rows,
        "config": {"model": MODEL, "photo": PHOTO, "photos": PHOTOS, "rounds": ROUNDS},
    }
