"""The network on one image in single precision: conv4 and the attention scores."""

from functools import partial
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.speed import networks
from benchmarks.speed.race import Row, race
from delfjax.models.openvino_network import OpenVinoNetwork

SIZES = ((224, 224), (480, 640), (768, 1024))
MAX_DIFFERENCE = 1e-4  # of the maps of two libraries, relative to the largest value


def run() -> list[Row]:
    """Measure the network at each size. All libraries must return the same map."""
    graph, state = nnx.split(networks.load_network())

    @jax.jit
    def forward(state: nnx.State, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        model = nnx.merge(graph, state)
        maps = model.backbone(pixels[None].astype(jnp.float32))["conv4"]
        return maps[0], model.attention(maps)[0]

    ours: dict[str, networks.Network] = {
        "backend jax": lambda pixels: jax.tree.map(np.asarray, forward(state, pixels))
    }
    if find_spec("openvino"):
        openvino = OpenVinoNetwork(*networks.load_parameters(), "attention")

        def run_openvino(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            (maps, scores), *_ = openvino([pixels])
            return maps.transpose(1, 2, 0), scores

        ours["backend openvino"] = run_openvino
    peers, rows = networks.peer_networks(), []
    for height, width in SIZES:
        shape = (height, width, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        maps = {name: np.array(run(pixels)[0]) for name, run in (ours | peers).items()}
        for name, other in maps.items():
            difference = np.abs(other - maps["backend jax"]).max() / np.abs(other).max()
            if difference > MAX_DIFFERENCE:
                raise ValueError(
                    f"the maps of {name} and of the backend jax differ by {difference}"
                )
        mine, theirs = (
            {name: partial(run, pixels) for name, run in group.items()} for group in (ours, peers)
        )
        rows += race(f"conv4 and attention, {height} x {width} pixels", mine, theirs)
    return rows
