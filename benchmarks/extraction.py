"""Compare the time of our ResNet-50 up to layer conv4 and of the same layers in Keras, both on JAX."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
from flax import nnx

from benchmarks.timing import compare
from delfjax.features.extraction import ExtractionConfig, Extractor
from delfjax.features.pyramid import PyramidConfig
from delfjax.images.samples import temple
from delfjax.models.backbone import ResNet, fold_batch_norm
from delfjax.models.resnet import RESNET50_V1

LONGEST = 480  # pixels of the photo's longest side


def run() -> dict:
    """Measure both networks on one image, then our feature extraction on a photo at seven scales."""
    backbone = fold_batch_norm(ResNet(RESNET50_V1, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(backbone)
    forward = jax.jit(lambda state, x: nnx.merge(graph, state)(x)["conv4"])
    resnet = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(320, 480, 3))
    conv4 = keras.Model(resnet.input, resnet.get_layer("conv4_block6_out").output)
    variables = (
        [variable.value for variable in conv4.trainable_variables],
        [variable.value for variable in conv4.non_trainable_variables],
    )
    keras_forward = jax.jit(lambda t, n, x: conv4.stateless_call(t, n, x, training=False)[0])
    image = jnp.asarray(np.random.default_rng(0).uniform(0, 255, (1, 320, 480, 3)), jnp.float32)
    ours, theirs, ratio = compare(
        lambda: forward(state, image).block_until_ready(),
        lambda: keras_forward(*variables, image).block_until_ready(),
    )
    config = ExtractionConfig(pyramid=PyramidConfig(longest=LONGEST))
    extractor, photo = Extractor(backbone, config=config), temple()
    pyramid, single, pyramid_ratio = compare(
        lambda: extractor(photo), lambda: forward(state, image).block_until_ready(), rounds=3
    )
    return {
        "value": round(ratio, 3),
        "what": "time of conv4 on 320 x 480 pixels, relative to Keras on the same JAX",
        "rows": [
            {"conv4, ours (s)": round(ours, 4), "conv4, Keras (s)": round(theirs, 4)},
            {
                "features of a photo, 7 scales (s)": round(pyramid, 4),
                "conv4 at scale 1 (s)": round(single, 4),
                "ratio (of the areas: 7.9)": round(pyramid_ratio, 2),
            },
        ],
        "config": {"longest": LONGEST, "spec": vars(RESNET50_V1)},
    }
