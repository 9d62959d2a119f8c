"""Run published networks in TensorFlow with random weights, and save the weights and the outputs.

``python tensorflow_networks.py delf_v1 FOLDER SAVED_MODEL`` fills the official graph of 2017.
``python tensorflow_networks.py tf2 FOLDER`` builds DELF and DELG of TensorFlow 2 from Keras layers, with
the layers and names of the official code. Tests start this script as a process of its own.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}

import numpy as np

SIZES = ((97, 131), (96, 128), (129, 96))  # of photos
SCALES = (0.5, 0.7071, 1.0, 1.4142)
# Stages of the official graph: its blocks have their stride in the last unit.
STAGES = {
    "stem": "resnet_v1_50/conv1/Relu:0",
    "conv2": "resnet_v1_50/block1/unit_3/bottleneck_v1/Relu:0",
    "conv3": "resnet_v1_50/block2/unit_4/bottleneck_v1/Relu:0",
    "conv4": "resnet_v1_50/block3/unit_6/bottleneck_v1/Relu:0",
    "attention": "attonly/attention/merge/softplus_attention/Softplus:0",
}


def photo(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)


def key(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def draw(random: np.random.Generator, name: str, shape: list[int]) -> np.ndarray:
    """Draw the values of a variable."""
    if name.endswith(("weights", "kernel")):
        return random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    if name.endswith("gamma"):
        return random.uniform(0.3, 1.2, shape)
    return random.uniform(0.5, 2, shape) if "variance" in name else random.normal(0, 0.3, shape)


def delf_v1(folder: Path, saved_model: str) -> None:
    import tensorflow.compat.v1 as tf
    from tensorflow.core.protobuf import saved_model_pb2

    random, outputs = np.random.default_rng(0), {}
    saved = saved_model_pb2.SavedModel.FromString(Path(saved_model).read_bytes())
    (folder / "model/variables").mkdir(parents=True)
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(saved.meta_graphs[0])
        for variable in tf.global_variables():
            shape = variable.shape.as_list()
            variable.load(draw(random, variable.op.name, shape).astype(np.float32), session)
        path = str(folder / "model/variables/variables")
        saver.save(session, path, write_meta_graph=False, write_state=False)
        for size in SIZES:
            feed = {
                "input_image:0": photo(size),
                "input_scales:0": [1.0],
                "input_max_feature_num:0": 100_000,
                "input_abs_thres:0": 0.0,
            }
            found = session.run(STAGES, feed)
            feed["input_scales:0"] = SCALES
            names = ("boxes", "features", "scales", "scores")
            found |= session.run({name: f"{name}:0" for name in names}, feed)
            outputs |= {f"{key(size)}/{name}": values for name, values in found.items()}
    np.savez(folder / "outputs.npz", **outputs)


def tf2(folder: Path) -> None:
    import tensorflow as tf
    from tf_keras import Model, layers

    class Block(Model):
        def __init__(self, filters: int, stride: int, *, first: bool) -> None:
            super().__init__(name="")
            self.conv2a = layers.Conv2D(filters, 1, strides=stride)
            self.conv2b = layers.Conv2D(filters, 3, padding="same")
            self.conv2c = layers.Conv2D(4 * filters, 1)
            self.bn2a, self.bn2b, self.bn2c = (layers.BatchNormalization() for _ in range(3))
            self.first = first
            if first:
                self.conv_shortcut = layers.Conv2D(4 * filters, 1, strides=stride)
                self.bn_shortcut = layers.BatchNormalization()

        def call(self, x: tf.Tensor) -> tf.Tensor:
            y = tf.nn.relu(self.bn2a(self.conv2a(x), training=False))
            y = tf.nn.relu(self.bn2b(self.conv2b(y), training=False))
            y = self.bn2c(self.conv2c(y), training=False)
            x = self.bn_shortcut(self.conv_shortcut(x), training=False) if self.first else x
            return tf.nn.relu(x + y)

    class Backbone(Model):
        def __init__(self, width: int, blocks: tuple[int, ...]) -> None:
            super().__init__(name="backbone")
            self.conv1 = layers.Conv2D(width, 7, strides=2, padding="same")
            self.bn_conv1 = layers.BatchNormalization()
            self.max_pool = layers.MaxPooling2D(3, strides=2)
            self.names = []
            for stage, count in enumerate(blocks, start=2):
                for block in range(count):
                    self.names.append(f"l{stage}{chr(97 + block)}")
                    stride = 2 if block == 0 and stage > 2 else 1
                    filters = width * 2 ** (stage - 2)
                    setattr(self, self.names[-1], Block(filters, stride, first=block == 0))

        def call(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            maps = {"stem": tf.nn.relu(self.bn_conv1(self.conv1(x), training=False))}
            x = self.max_pool(maps["stem"])
            for name in self.names:
                x = maps[f"conv{name[1]}"] = getattr(self, name)(x)
            return maps

    class Attention(Model):
        def __init__(self, hidden: int) -> None:
            super().__init__(name="attention")
            self.conv1 = layers.Conv2D(hidden, 1, padding="same")
            self.bn_conv1 = layers.BatchNormalization()
            self.conv2 = layers.Conv2D(1, 1, padding="same")

        def call(self, x: tf.Tensor) -> tf.Tensor:
            x = tf.nn.relu(self.bn_conv1(self.conv1(x), training=False))
            return tf.nn.softplus(self.conv2(x))

    class Autoencoder(Model):
        def __init__(self, reduced: int, expanded: int) -> None:
            super().__init__(name="autoencoder")
            self.conv1 = layers.Conv2D(reduced, 1, padding="same")
            self.conv2 = layers.Conv2D(expanded, 1, activation="relu", padding="same")

        def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            reduced = self.conv1(x)
            return self.conv2(reduced), reduced

    class Delf(Model):
        def __init__(
            self, width: int, blocks: tuple[int, ...], hidden: int, reduced: int | None
        ) -> None:
            super().__init__(name="DELF")
            self.backbone, self.attention = Backbone(width, blocks), Attention(hidden)
            self.autoencoder = Autoencoder(reduced, 16 * width) if reduced else None

        def call(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            maps = self.backbone((x - 128) / 128)
            expanded = descriptors = maps["conv4"]
            if self.autoencoder is not None:
                expanded, descriptors = self.autoencoder(expanded)
            return maps | {"attention": self.attention(expanded), "descriptors": descriptors}

    class Export(tf.Module):
        def __init__(self, model: Model) -> None:
            super().__init__()
            self._model = model

        @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
        def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._model(tf.cast(image, tf.float32)[None])

    networks = {
        "r50_delg": (64, (3, 4, 6, 3), 512, 128),
        "r101_delg": (8, (3, 4, 23, 3), 16, 12),
        "delf": (8, (1, 2, 2, 1), 16, None),
    }
    for name, sizes in networks.items():
        random, outputs, model = np.random.default_rng(0), {}, Delf(*sizes)
        model(tf.zeros([1, 64, 64, 3]))
        for variable in model.variables:
            shape = variable.shape.as_list()
            variable.assign(draw(random, variable.name.split(":")[0], shape).astype(np.float32))
        for size in SIZES:
            found = model(tf.cast(photo(size), tf.float32)[None])
            outputs |= {f"{key(size)}/{stage}": values.numpy() for stage, values in found.items()}
        np.savez(folder / f"{name}.npz", **outputs)
        tf.saved_model.save(Export(model), str(folder / f"{name}_saved"))
        (folder / f"{name}_checkpoint").mkdir()
        tf.train.Checkpoint(model=model).write(str(folder / f"{name}_checkpoint" / "delf"))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
