"""Write features and matches in the HDF5 layout of hloc (localization and 3D reconstruction).

hloc (https://github.com/cvg/Hierarchical-Localization) reads these files in place of its own, for
example in ``hloc.triangulation`` and ``hloc.reconstruction``. The keypoints of hloc are ``(x, y)``
with ``(0, 0)`` at the center of the top-left pixel.
"""

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
from tqdm.auto import tqdm

from delfjax.files import atomic_write
from delfjax.search.searcher import Searcher

FEATURES, MATCHES, PAIRS = "features.h5", "matches.h5", "pairs.txt"


def export_hloc(searcher: Searcher, folder: Path | str, *, top: int = 20) -> None:
    """Write the features of a database, and the matches of each photo with its best results.

    Each photo is a query, and forms a pair with each of its ``top`` best results. A pair is written
    once. The matches are putative (before RANSAC): hloc verifies them by epipolar geometry.

    Args:
        searcher: Searcher of the database.
        folder: Folder for the files ``features.h5``, ``matches.h5`` and ``pairs.txt``.
        top: Maximum number of results per photo.

    Raises:
        ValueError: If hloc cannot read a name: it contains a space, or it differs from another name
            only by ``/`` and ``-``.
        StoreError: If a file cannot be written.
    """
    folder, database = Path(folder), searcher.database
    keys = [name.replace("/", "-") for name in database.names]
    counts = Counter(keys)
    for name, key in zip(database.names, keys, strict=True):
        if name.split() != [name] or counts[key] > 1:
            raise ValueError(
                f"photo {name!r}: hloc separates names by spaces, and replaces / by -; expected a "
                "name without spaces that stays unique. Fix: rename the photo, and extract again"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / FEATURES) as path, h5py.File(path, "w") as file:
        for photo, name in enumerate(database.names):
            features = database.features(photo)
            group = file.create_group(name)
            group["keypoints"] = features.positions[:, ::-1]
            group["descriptors"] = features.descriptors.T
            group["scores"] = features.scores
            group["image_size"] = np.array(features.image_size[::-1])
    photo_pairs: dict[tuple[int, int], None] = {}  # a dict keeps the order
    with atomic_write(folder / MATCHES) as path, h5py.File(path, "w") as file:
        for query in tqdm(range(len(database)), desc="match", unit="photo"):
            features = database.features(query)
            pairs = searcher.pair_features(searcher.find_neighbors(features))
            ranking = searcher.rank_pairs(features, pairs).ranking.images
            for image in ranking[ranking != query][:top].tolist():
                if (query, image) in photo_pairs or (image, query) in photo_pairs:
                    continue
                photo_pairs[query, image] = None
                found = pairs.of_photo(image)
                matches = np.full(len(features), -1, np.int32)
                scores = np.zeros(len(features), np.float16)
                matches[found.query_rows] = found.database_rows - database.offsets[image]
                scores[found.query_rows] = 1 - found.distances**2 / 2  # cosine similarity
                group = file.create_group(f"{keys[query]}/{keys[image]}")
                group["matches0"], group["matching_scores0"] = matches, scores
    lines = (f"{database.names[query]} {database.names[image]}\n" for query, image in photo_pairs)
    with atomic_write(folder / PAIRS) as path:
        path.write_text("".join(lines), encoding="utf-8")
