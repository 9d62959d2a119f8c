"""Read the features of a photo from a ``.delf`` file of the official DELF code."""

from pathlib import Path

import numpy as np

from delfjax.files import MAX_TENSOR_BYTES, check_size, reading
from delfjax.models.tensor_bundle import parse_datum, parse_message
from delfjax.types import Features

DESCRIPTOR, X, Y, SCALE, STRENGTH = 1, 2, 3, 4, 6  # fields of the message DelfFeature


def read_delf(path: Path | str, image_size: tuple[int, int]) -> Features:
    """Read a ``.delf`` file, which the official code writes for each photo.

    Compare descriptors only if the same model and the same PCA computed them. Descriptors of 40
    dimensions, as in official files, are already reduced: ``delfjax.match`` applies no PCA to them.

    Args:
        path: The file, a protocol buffer ``DelfFeatures``.
        image_size: ``(height, width)`` of the photo in pixels. The file does not contain this size.

    Returns:
        The features, highest score first, with positions ``(y, x)`` in pixels of the photo.

    Raises:
        FileNotFoundError: If the file does not exist.
        StoreError: If the file is damaged or is not a ``.delf`` file.
    """
    path = Path(path)
    with reading(path, "a .delf file of the official code", fix="copy the file again"):
        check_size(path.stat().st_size, MAX_TENSOR_BYTES)
        messages = [parse_message(each) for each in parse_message(path.read_bytes()).get(1, [])]
        # The bits of a float are read as a whole number.
        bits = [[each[field][0] for field in (Y, X, SCALE, STRENGTH)] for each in messages]
        numbers = np.array(bits, np.uint32).view(np.float32).reshape(-1, 4)
        descriptors = [parse_datum(each[DESCRIPTOR][0]).ravel() for each in messages]
        features = Features(
            positions=numbers[:, :2],
            scales=1 / numbers[:, 2],  # the official scale is that of the region, not of the photo
            scores=numbers[:, 3],
            descriptors=np.array(descriptors, np.float32).reshape(len(messages), -1),
            image_size=image_size,
        )
        return features[np.argsort(-features.scores, kind="stable")]
