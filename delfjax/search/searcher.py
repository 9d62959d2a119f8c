"""Rank the photos of a database for a query photo: neighbors, votes, verification (Sec. 4.4).

The index finds the 60 nearest database features of each query feature. A photo gets one vote from each
query feature that has a neighbor in it. The photos with most votes are verified by RANSAC and ranked
by their inliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import PCA, truncate_descriptors
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig, Verification, verify
from delfjax.search.index import (
    NEIGHBORS,
    Index,
    IndexConfig,
    Neighbors,
    build_index,
    check_minimums,
)
from delfjax.types import Features, Matches, Ranking

VERIFIED = 100  # official image_reranking verifies the top 100


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How a query is searched for.

    Attributes:
        neighbors: Number of nearest database features found for each query feature (``K``).
        max_distance: Maximum L2 distance of a neighbor (official ``match_images``: 0.8,
            ``image_reranking``: 0.9). Infinite by default, as the paper gives none.
        ratio: Maximum ratio of a neighbor's distance to that of the last of the ``K`` neighbors, which
            represents the background (Local Naive Bayes Nearest Neighbor: McCann and Lowe, CVPR 2012).
            The second nearest would not do: it may show the same landmark. Not in the paper; 1
            disables the test.
        one_to_one: Whether a database feature matches only the nearest of the query features that
            match it. Not in the paper or the official code; without it, a feature of sky or foliage
            counts as many inliers.
        verified: Number of photos with most votes that are verified.
        features: Number of best features used per photo, in query and database. None: all.
        truncate: Number of descriptor dimensions used, as a smaller PCA would give. None: all.
        ransac: How photos are verified.

    Raises:
        ValueError: If a value is out of range.
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
        check_minimums(self, neighbors=1, max_distance=0.0, verified=0, features=1, truncate=1)
        if not 0 < self.ratio <= 1:
            raise ValueError(
                f"ratio is {self.ratio}; expected over 0 and at most 1, which keeps all"
            )

    def limit_features(self, features: Features) -> Features:
        """Keep the best features of a photo and the first dimensions, as configured."""
        best = features[: self.features]
        return best.with_descriptors(truncate_descriptors(best.descriptors, self.truncate))

    def load_database(self, store: FeatureStore, names: Sequence[str] | None = None) -> Database:
        """Load photos of a store, limited like `limit_features`; by default all photos."""
        database = store.gather(names, limit=self.features)
        descriptors = truncate_descriptors(database.descriptors, self.truncate)
        return replace(database, descriptors=descriptors)


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """A ranking of photos, and the matches behind it.

    Attributes:
        ranking: Every photo with a vote. Verified photos come first, sorted by inliers; the others
            follow, sorted by votes. Ties are sorted by votes, then by index.
        matches: Putative matches of each verified photo, by its index in the database.
        verifications: Result of RANSAC for each verified photo, by its index.
    """

    ranking: Ranking
    matches: dict[int, Matches]
    verifications: dict[int, Verification]


class Searcher:
    """Search a database of photos.

    Args:
        database: The photos. Of a `FeatureStore`, the photos are loaded as ``config`` says; a
            `Database` is used as it is.
        index: A finished index over the descriptors of the database, an `IndexConfig`, or a kind such
            as ``"exact"``. None means ``"auto"``: chosen by the size of the database.
        config: How queries are searched for. None: the defaults.
        pca: PCA with which the database was reduced. None: that of the store.

    Raises:
        ValueError: If the index cannot be built, or the PCA does not reduce the number of dimensions.
    """

    def __init__(
        self,
        database: Database | FeatureStore,
        index: Index | IndexConfig | str | None = None,
        config: SearchConfig | None = None,
        *,
        pca: PCA | None = None,
    ) -> None:
        self.config = config or SearchConfig()
        self.pca = pca
        if isinstance(database, FeatureStore):
            self.pca = pca or database.pca
            database = self.config.load_database(database)
        if self.pca is not None and len(self.pca.components) == self.pca.components.shape[1]:
            raise ValueError(
                f"the PCA keeps all {len(self.pca.components)} dimensions, so the number of dimensions does "
                "not show whether a query is reduced. Fix: pass a Database and reduced queries, no PCA"
            )
        self.database = database
        if isinstance(index, IndexConfig):
            index = index.build(database.descriptors)
        elif not isinstance(index, Index):
            index = build_index(database.descriptors, index or "auto")
        self.index = index

    def __call__(self, query: Features) -> SearchResult:
        """Rank the database for a query.

        Args:
            query: Features of the query, as they were extracted or reduced like the database; see
                `reduce`.
        """
        query = self.reduce(query)
        return self.rank(query, self.find_neighbors(query))

    def reduce(self, features: Features) -> Features:
        """Reduce the features of a photo like those of the database.

        Features with as many dimensions as the database are returned as they are. Others are reduced
        by the PCA if they have more dimensions than it keeps, and limited as configured.
        """
        dimensions = features.descriptors.shape[1]
        if dimensions == self.index.dimensions:
            return features
        if self.pca is not None and dimensions > len(self.pca.components):
            features = features.with_descriptors(self.pca(features.descriptors))
        return self.config.limit_features(features)

    def add(self, names: Sequence[str], features: Sequence[Features]) -> None:
        """Add photos to the database and to its index, which is not built again.

        Args:
            names: Name of each photo.
            features: Features of each photo, as for a query.

        Raises:
            ValueError: If a name is in the database already. Nothing has changed then.
        """
        larger = self.database.with_photos(names, [self.reduce(each) for each in features])
        self.index.add(larger.descriptors[len(self.database.descriptors) :])
        self.database = larger  # only now, as the index may refuse

    def search_subset(self, query: Features, images: Int[np.ndarray, " b"]) -> SearchResult:
        """Rank some of the photos for a query, by exact search, as if there were no others.

        Args:
            query: Features of the query.
            images: Indices of the photos.
        """
        subset = Searcher(self.database.select(images), "exact", self.config, pca=self.pca)
        result = subset(query)
        ranking = replace(result.ranking, images=images[result.ranking.images])
        matches, verifications = (
            {int(images[image]): each for image, each in found.items()}
            for found in (result.matches, result.verifications)
        )
        return SearchResult(ranking=ranking, matches=matches, verifications=verifications)

    def find_neighbors(self, query: Features) -> Neighbors:
        """Find the nearest database features of each reduced query feature."""
        k = min(self.config.neighbors, len(self.database.descriptors))
        return self.index.search(query.descriptors, k)

    def rank(self, query: Features, neighbors: Neighbors) -> SearchResult:
        """Count votes, verify the photos with most votes, and rank all.

        Args:
            query: Reduced features of the query.
            neighbors: Nearest database features of each query feature.
        """
        pairs = self.pair_features(neighbors)
        votes = np.bincount(pairs.images, minlength=len(self.database))
        order = np.lexsort((np.arange(len(votes)), -votes))
        order = order[votes[order] > 0]
        candidates = order[: self.config.verified].tolist()
        matches = {image: self.photo_matches(query, pairs, image) for image in candidates}
        results = verify(list(matches.values()), self.config.ransac)
        verifications = dict(zip(matches, results, strict=True))
        inliers = np.full(len(votes), -1)
        affines = np.full((len(votes), 2, 3), np.nan, np.float32)
        for image, verification in verifications.items():
            inliers[image], affines[image] = verification.num_inliers, verification.affine
        order = order[np.lexsort((order, -votes[order], -inliers[order]))]
        ranking = Ranking(
            images=order, inliers=inliers[order], votes=votes[order], affines=affines[order]
        )
        return SearchResult(ranking=ranking, matches=matches, verifications=verifications)

    def pair_features(self, neighbors: Neighbors) -> "FeaturePairs":
        """Keep one neighbor per query feature and photo, the nearest, and apply the configured limits."""
        rows, distances = neighbors
        near = np.isfinite(distances) & (distances <= self.config.max_distance)
        if self.config.ratio < 1:
            near &= distances < self.config.ratio * distances[:, -1:]
        query_rows, _ = np.nonzero(near)
        pairs = FeaturePairs(
            images=self.database.photo_indices[rows[near]],
            query_rows=query_rows,
            database_rows=rows[near],
            distances=distances[near],
        )
        pairs = pairs.nearest_of(pairs.images, pairs.query_rows)
        return (
            pairs.nearest_of(pairs.images, pairs.database_rows) if self.config.one_to_one else pairs
        )

    def photo_matches(self, query: Features, pairs: "FeaturePairs", image: int) -> Matches:
        """Return the putative matches of one photo, as positions in the query and the photo."""
        rows = slice(*np.searchsorted(pairs.images, [image, image + 1]))
        return Matches(
            query=query.positions[pairs.query_rows[rows]],
            database=self.database.positions[pairs.database_rows[rows]],
            distances=pairs.distances[rows],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FeaturePairs:
    """Pairs of a query feature and a database feature, sorted by photo.

    Attributes:
        images: Index of the photo that holds the database feature.
        query_rows: Row of the query feature.
        database_rows: Row of the database feature.
        distances: L2 distance of the two descriptors.
    """

    images: Int[np.ndarray, " m"]
    query_rows: Int[np.ndarray, " m"]
    database_rows: Int[np.ndarray, " m"]
    distances: Float[np.ndarray, " m"]

    def nearest_of(self, *keys: Int[np.ndarray, " m"]) -> "FeaturePairs":
        """Keep the nearest pair of each combination of keys, sorted by the first key, then the next."""
        order = np.lexsort((self.distances, *keys[::-1]))
        changes = [np.diff(key[order], prepend=-1) != 0 for key in keys]
        kept = order[np.logical_or.reduce(changes)]
        return FeaturePairs(**{name: values[kept] for name, values in vars(self).items()})
