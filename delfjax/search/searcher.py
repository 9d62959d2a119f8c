"""From a query photo to a ranking: neighbors, votes, verification (Sec. 4.4).

Each query feature asks the index for its 60 nearest database features; a database photo gets a vote
from each query feature that has a neighbor in it; the photos with most votes are verified, and
ranked by their inliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import truncate_descriptors
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig, Verification, verify
from delfjax.search.exact import ExactIndex
from delfjax.search.index import NEIGHBORS, Index, Neighbors, build_index
from delfjax.types import Features, Matches, Ranking

VERIFIED = 100  # official image_reranking: the top 100 are verified


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How a query is answered.

    Attributes:
        neighbors: Nearest database features asked for each query feature.
        max_distance: Neighbors further away than this do not count (official ``match_images``: 0.8,
            ``image_reranking``: 0.9); infinite by default, as the paper speaks of none.
        ratio: Neighbors count only if nearer than this times the last of the query feature's neighbors.
            Lowe's second nearest would not do: of a landmark in many photos, the nearest of another photo is
            as right as the nearest of all. The last stands for the background, as in Local Naive Bayes
            Nearest Neighbor (McCann and Lowe, CVPR 2012). Not in the paper; 1 keeps all.
        one_to_one: Whether, of several query features with the same nearest feature of a photo, only
            the nearest keeps its match. Not in the paper nor in the official code: but a feature of
            sky or foliage is nearest to many, and each would count as an inlier.
        verified: Photos, by votes, that are verified.
        features: Use only so many of a photo's best features, of the query's as of the database's. None:
            all that were extracted.
        truncate: Use only so many of a descriptor's first dimensions, as a smaller PCA would give them.
            None: all.
        ransac: How photos are verified.
    """

    neighbors: int = NEIGHBORS
    max_distance: float = float("inf")
    ratio: float = 1.0
    one_to_one: bool = True
    verified: int = VERIFIED
    features: int | None = None
    truncate: int | None = None
    ransac: RansacConfig = field(default_factory=RansacConfig)

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(
                f"ratio is {self.ratio}; expected over 0, and at most 1, which keeps all"
            )

    def limit_features(self, features: Features) -> Features:
        """Keep what is used of a photo's features."""
        best = features[: self.features]
        return best.with_descriptors(truncate_descriptors(best.descriptors, self.truncate))

    def load_database(self, store: FeatureStore, names: Sequence[str] | None = None) -> Database:
        """Gather what is used of photos of a store, of all of them by default."""
        whole = store.gather(names, limit=self.features)
        return replace(whole, descriptors=truncate_descriptors(whole.descriptors, self.truncate))


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """A ranking and what it rests on.

    Attributes:
        ranking: Every photo with a vote: verified ones by inliers, then votes, then number; after them
            the others by votes, then number.
        matches: Putative matches of each verified photo, by its number.
        verifications: What RANSAC said of each.
    """

    ranking: Ranking
    matches: dict[int, Matches]
    verifications: dict[int, Verification]


class Searcher:
    """Answers queries over a database.

    Args:
        database: The photos.
        index: Over ``database.descriptors``; built if None.
        config: How queries are answered.
    """

    def __init__(
        self, database: Database, index: Index | None = None, config: SearchConfig | None = None
    ) -> None:
        self.database = database
        self.index = build_index(database.descriptors) if index is None else index
        self.config = config or SearchConfig()

    def __call__(self, query: Features) -> SearchResult:
        """Rank the database for a query."""
        return self.rank(query, self.find_neighbors(query))

    def add(self, names: Sequence[str], features: Sequence[Features]) -> None:
        """Append photos to the database and to its index, which is not built anew."""
        before = len(self.database.descriptors)
        self.database = self.database.with_photos(names, features)
        self.index.add(self.database.descriptors[before:])

    def search_subset(self, query: Features, images: Int[np.ndarray, " b"]) -> SearchResult:
        """Rank only some of the photos, as if there were no others: a shortlist, searched exactly."""
        part = self.database.select(images)
        answer = Searcher(part, ExactIndex(part.descriptors), self.config)(query)
        ranking = replace(answer.ranking, images=images[answer.ranking.images])
        matches, verifications = (
            {int(images[image]): each for image, each in found.items()}
            for found in (answer.matches, answer.verifications)
        )
        return SearchResult(ranking=ranking, matches=matches, verifications=verifications)

    def find_neighbors(self, query: Features) -> Neighbors:
        """Find the nearest database features of each query feature."""
        k = min(self.config.neighbors, len(self.database.descriptors))
        return self.index.search(query.descriptors, k)

    def rank(self, query: Features, neighbors: Neighbors) -> SearchResult:
        """Vote, verify the photos with most votes, and rank."""
        pairs = self.pair_features(neighbors)
        votes = np.bincount(pairs.images, minlength=len(self.database))
        order = np.lexsort((np.arange(len(votes)), -votes))
        order = order[votes[order] > 0]
        chosen = order[: self.config.verified]
        matches = {image: self.photo_matches(query, pairs, image) for image in chosen.tolist()}
        verified = dict(
            zip(matches, verify(list(matches.values()), self.config.ransac), strict=True)
        )
        inliers = np.full(len(votes), -1)
        affines = np.full((len(votes), 2, 3), np.nan, np.float32)
        for image, verification in verified.items():
            inliers[image], affines[image] = verification.num_inliers, verification.affine
        order = order[np.lexsort((order, -votes[order], -inliers[order]))]
        ranking = Ranking(
            images=order, inliers=inliers[order], votes=votes[order], affines=affines[order]
        )
        return SearchResult(ranking=ranking, matches=matches, verifications=verified)

    def pair_features(self, neighbors: Neighbors) -> "FeaturePairs":
        """Group neighbors by photo: of several in one photo, a query feature keeps the nearest."""
        near = np.isfinite(neighbors[1]) & (neighbors[1] <= self.config.max_distance)
        if self.config.ratio < 1:
            near &= neighbors[1] < self.config.ratio * neighbors[1][:, -1:]
        features, _ = np.nonzero(near)
        rows, distances = (part[near] for part in neighbors)
        pairs = FeaturePairs(
            images=self.database.photo_indices[rows],
            features=features,
            rows=rows,
            distances=distances,
        )
        pairs = pairs.nearest_of(pairs.images, pairs.features)
        return pairs.nearest_of(pairs.images, pairs.rows) if self.config.one_to_one else pairs

    def photo_matches(self, query: Features, pairs: "FeaturePairs", image: int) -> Matches:
        """Return the pairs of one photo, by the places of their features."""
        here = slice(*np.searchsorted(pairs.images, [image, image + 1]))
        return Matches(
            query=query.positions[pairs.features[here]],
            database=self.database.positions[pairs.rows[here]],
            distances=pairs.distances[here],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FeaturePairs:
    """Putative matches with the whole database, sorted by photo.

    Attributes:
        images: Number of the database photo.
        features: Row of the query feature.
        rows: Row of the database descriptor.
        distances: Between the two.
    """

    images: Int[np.ndarray, " m"]
    features: Int[np.ndarray, " m"]
    rows: Int[np.ndarray, " m"]
    distances: Float[np.ndarray, " m"]

    def nearest_of(self, *keys: Int[np.ndarray, " m"]) -> "FeaturePairs":
        """Keep the nearest pair of each combination of keys, sorted by the keys in their order."""
        order = np.lexsort((self.distances, *keys[::-1]))
        changes = [np.diff(key[order], prepend=-1) != 0 for key in keys]
        kept = order[np.logical_or.reduce(changes)]
        return FeaturePairs(
            images=self.images[kept],
            features=self.features[kept],
            rows=self.rows[kept],
            distances=self.distances[kept],
        )
