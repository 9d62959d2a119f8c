"""Learn a linear projection of local descriptors from photos of landmarks. Not in the paper.

RANSAC finds pairs of features that show the same point in two photos of a landmark. View and light
change the descriptors of a pair. The projection whitens descriptors with the covariance of these
changes, so that large changes become small (`delfjax.features.pca.whitening_matrix`). The PCA of a
feature store is applied after the projection.
"""

from itertools import combinations, groupby

import numpy as np
from flax import nnx
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.features.extraction import Extractor
from delfjax.features.pca import PAPER_DIMENSIONS, PCA, l2_normalize, whitening_matrix
from delfjax.features.store import ExtractionReport
from delfjax.geometry.ransac import verify
from delfjax.images.folder import PhotoFolder, iter_photos
from delfjax.images.reading import PhotoError
from delfjax.models.attention import Attention
from delfjax.models.backbone import named_parameters
from delfjax.models.checkpoints import build_attention
from delfjax.search.matching import DISTANCE, mutual_matches
from delfjax.types import Features

MIN_INLIERS = 15  # of two photos; by chance, small photos rarely have more


def fit_projection(
    model: Extractor, photos: PhotoFolder
) -> tuple[Float[np.ndarray, "c c"], ExtractionReport]:
    """Fit a matrix ``P`` that projects each descriptor ``d`` of a model: ``d @ P``.

    Args:
        model: Model. Its configuration sets the size of photos and the number of features.
        photos: Photos, with one sub-folder per landmark.

    Returns:
        The projection, and a report that lists the photos that could not be read.

    Raises:
        ValueError: If fewer than two pairs of photos have at least 15 inliers.
    """
    report, differences = ExtractionReport(), []
    landmarks = photos.landmarks
    with tqdm(total=len(photos), desc="project", unit="photo") as bar:
        found = model.stream(iter_photos(photos, photos.names))
        for _, named in groupby(found, key=lambda each: landmarks[each[0]]):
            landmark = []
            for name, features in named:
                bar.update()
                if isinstance(features, PhotoError):
                    report.failed[name] = features
                else:
                    report.extracted.append(name)
                    landmark.append(features)
            differences += _differences(landmark)
    if len(differences) < 2:
        raise ValueError(
            f"{photos.root}: the number of photo pairs with at least {MIN_INLIERS} RANSAC inliers "
            f"is {len(differences)}; expected at least 2. Fix: use several photos of each landmark "
            "and one sub-folder per landmark"
        )
    return whitening_matrix(np.concatenate(differences)).astype(np.float32), report


def _differences(photos: list[Features]) -> list[Float[np.ndarray, "m c"]]:
    """Return the differences of matched descriptors, for each pair of photos that RANSAC verifies."""
    if len(photos) < 2 or sum(map(len, photos)) < PAPER_DIMENSIONS:
        return []
    pca = PCA.fit(np.concatenate([each.descriptors for each in photos]))
    reduced = [each.with_descriptors(pca(each.descriptors)) for each in photos]
    pairs = [*combinations(range(len(photos)), 2)]
    # RANSAC decides, not the distance, which is what the projection changes.
    found = [
        mutual_matches(reduced[one], reduced[other], max_distance=DISTANCE.at_most)
        for one, other in pairs
    ]
    differences = []
    results = verify([matches for matches, _ in found])
    for (one, other), (_, rows), result in zip(pairs, found, results, strict=True):
        if result.num_inliers >= MIN_INLIERS:
            ours, theirs = rows[result.inliers].T
            first, second = photos[one].descriptors[ours], photos[other].descriptors[theirs]
            differences.append(l2_normalize(first) - l2_normalize(second))
    return differences


def add_projection(attention: Attention, projection: Float[np.ndarray, "c d"]) -> Attention:
    """Return a copy of an attention head that also projects descriptors, with the same scores."""
    tensors = {
        name: np.asarray(values[...])
        for name, values in named_parameters(nnx.state(attention)).items()
    }
    tensors["reduce.kernel"] = np.asarray(projection, np.float32)[None, None]
    tensors["reduce.bias"] = np.zeros(projection.shape[1], np.float32)
    return build_attention(tensors)
