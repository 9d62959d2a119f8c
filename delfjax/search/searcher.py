"""Rank the photos of a database for a query photo by nearest neighbors, votes and RANSAC (Sec. 4.4).

The index finds the 60 nearest database features of each query feature. A photo gets one vote from each
query feature that has a neighbor in the photo. RANSAC verifies the photos with most votes: it finds the
matches that agree with one map between the photos (inliers). Photos are ranked by their inliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import PCA, truncate_descriptors
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig, Verification, verify
from delfjax.ranges import COUNT, COUNT_OR_0, RATIO, Range, check_fields
from delfjax.search.index import NEIGHBORS, Index, IndexConfig, Neighbors, build_index
from delfjax.types import Features, Matches, Ranking

VERIFIED = 100  # photos to verify, as in image_reranking of the official code


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search by local features.

    Attributes:
        neighbors: Number of nearest database features found for each query feature (``K``).
        max_distance: Maximum L2 distance of a neighbor (0.8 in the official ``match_images``, 0.9 in
            ``image_reranking``). The default is infinity, because the paper gives no limit.
        ratio: Maximum distance of a neighbor, divided by the distance of the last of the ``K`` neighbors,
            which represents the background (McCann and Lowe, "Local naive Bayes nearest neighbor", CVPR
            2012). The second neighbor may show the same landmark, so it cannot replace the last. 1
            disables the test. Not in the paper.
        one_to_one: Whether each database feature matches at most one feature of a query, the nearest.
            Otherwise, a feature of sky or foliage counts as many inliers. Not in the paper and not in
            the official code.
        verified: Number of photos to verify by RANSAC. The photos with most votes are verified.
        features: Maximum number of features per photo, in query and database. The features with the
            highest scores are used. None: all.
        truncate: Number of leading descriptor dimensions to use, as a smaller PCA gives. None: all.
        ransac: Settings of the verification by RANSAC.
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
        counts = {"neighbors": COUNT, "features": COUNT, "truncate": COUNT, "verified": COUNT_OR_0}
        check_fields(self, max_distance=Range(at_least=0, infinite=True), ratio=RATIO, **counts)

    def limit_features(self, features: Features) -> Features:
        """Limit a photo to ``features`` features, and its descriptors to ``truncate`` dimensions."""
        best = features[: self.features]
        return best.with_descriptors(truncate_descriptors(best.descriptors, self.truncate))

    def load_database(self, store: FeatureStore, names: Sequence[str] | None = None) -> Database:
        """Load the named photos of a feature store, limited by `limit_features`. By default all photos."""
        database = store.gather(names, limit=self.features)
        descriptors = truncate_descriptors(database.descriptors, self.truncate)
        return replace(database, descriptors=descriptors)


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """A ranking of database photos for a query, and the matches that led to the ranking.

    Attributes:
        ranking: Every photo with at least one vote. Verified photos come first, sorted by inliers. The
            other photos follow, sorted by votes. Ties are sorted by votes, then by index.
        matches: Putative matches (before RANSAC) of each verified photo. Keys are indices of photos in
            the database.
        verifications: Result of RANSAC for each verified photo. Keys are the same indices.
    """

    ranking: Ranking
    matches: dict[int, Matches]
    verifications: dict[int, Verification]


class Searcher:
    """Search a database of photos for photos that match a query photo.

    Args:
        database: Features of the photos. A `Database` is used without changes, a `FeatureStore` is
            loaded by `SearchConfig.load_database`.
        index: A finished index over the descriptors of the database, an `IndexConfig`, or a kind of
            index such as ``"exact"``.
        config: Settings of the search. None: the defaults.
        pca: PCA that reduced the descriptors of the database. None: the PCA of the store.

    Raises:
        ValueError: If the index cannot be built or belongs to another database, or the PCA does not
            reduce the number of dimensions.
    """

    def __init__(
        self,
        database: Database | FeatureStore,
        index: Index | IndexConfig | str = "auto",
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
                f"the PCA keeps all {len(self.pca.components)} dimensions; expected a PCA with fewer "
                "dimensions, because their number shows whether a query is reduced. Fix: pass a Database "
                "and reduced queries, without a PCA"
            )
        self.database = database
        if isinstance(index, IndexConfig):
            index = index.build(database.descriptors)
        elif not isinstance(index, Index):
            index = build_index(database.descriptors, index)
        count, dimensions = database.descriptors.shape
        if (len(index), index.dimensions) != (count, dimensions):
            raise ValueError(
                f"the index has {len(index)} descriptors of {index.dimensions} dimensions; expected those of "
                f"the database, {count} of {dimensions}. Fix: build the index from this database"
            )
        self.index = index

    def __call__(self, query: Features) -> SearchResult:
        """Rank the photos of the database for a query photo.

        The features of the query may be as extracted or already reduced by the PCA.
        """
        query = self.reduce(query)
        return self.rank(query, self.find_neighbors(query))

    def reduce(self, features: Features) -> Features:
        """Reduce the features of a photo by the PCA of the database, and limit them as configured.

        Features with as many dimensions as the database are returned unchanged. Features with at most as
        many dimensions as the PCA keeps are limited, but not reduced.
        """
        dimensions = features.descriptors.shape[1]
        if dimensions == self.index.dimensions:
            return features
        if self.pca is not None and dimensions > len(self.pca.components):
            features = features.with_descriptors(self.pca(features.descriptors))
        return self.config.limit_features(features)

    def add(self, names: Sequence[str], features: Sequence[Features]) -> None:
        """Add photos to the database and to the index. The index is not built again.

        The features of the photos may be as extracted or already reduced by the PCA.

        Raises:
            ValueError: If a name is already in the database. The database then stays unchanged.
        """
        larger = self.database.with_photos(names, [self.reduce(each) for each in features])
        self.index.add(larger.descriptors[len(self.database.descriptors) :])
        self.database = larger  # only now, because the index may raise an error

    def remove(self, names: Sequence[str]) -> None:
        """Remove photos from the database and from the index. The index is not built again.

        Raises:
            ValueError: If a name is not in the database, or if no photo would remain. The database then
                stays unchanged.
        """
        removed = {*names}
        if unknown := sorted(removed - {*self.database.names}):
            raise ValueError(
                f"{unknown[0]!r} is not in the database. Fix: remove only photos that it contains"
            )
        kept = np.array([name not in removed for name in self.database.names])
        if not kept.any():
            raise ValueError("no photo would remain. Fix: keep at least one")
        smaller = self.database.select(np.flatnonzero(kept))
        self.index.remove(np.flatnonzero(~kept[self.database.photo_indices]))
        self.database = smaller  # only now, because the index may raise an error

    def search_subset(self, query: Features, images: Int[np.ndarray, " b"]) -> SearchResult:
        """Rank only the photos of the database with the indices ``images``, by exact search."""
        subset = Searcher(self.database.select(images), "exact", self.config, pca=self.pca)
        result = subset(query)
        ranking = replace(result.ranking, images=images[result.ranking.images])
        return SearchResult(
            ranking=ranking,
            matches={int(images[row]): each for row, each in result.matches.items()},
            verifications={int(images[row]): each for row, each in result.verifications.items()},
        )

    def find_neighbors(self, query: Features) -> Neighbors:
        """Find the nearest database features of each feature of a query that `reduce` returned."""
        k = min(self.config.neighbors, len(self.database.descriptors))
        return self.index.search(query.descriptors, k)

    def rank(self, query: Features, neighbors: Neighbors) -> SearchResult:
        """Count the votes of all photos, verify the photos with most votes, and rank all photos with votes.

        The arguments are the results of `reduce` and `find_neighbors`.
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
        """Pair each query feature with its nearest neighbor in each photo, within the configured limits."""
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
        if self.config.one_to_one:
            pairs = pairs.nearest_of(pairs.images, pairs.database_rows)
        return pairs

    def photo_matches(self, query: Features, pairs: "FeaturePairs", image: int) -> Matches:
        """Return the putative matches of one photo: positions in the query and in the photo."""
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
        images: Index of the database photo that has the database feature.
        query_rows: Row of the query feature among the features of the query.
        database_rows: Row of the database feature among the features of all photos.
        distances: L2 distance of the two descriptors.
    """

    images: Int[np.ndarray, " m"]
    query_rows: Int[np.ndarray, " m"]
    database_rows: Int[np.ndarray, " m"]
    distances: Float[np.ndarray, " m"]

    def nearest_of(self, *keys: Int[np.ndarray, " m"]) -> "FeaturePairs":
        """Keep the nearest pair of each combination of keys. Sort by the first key, then by the next."""
        order = np.lexsort((self.distances, *keys[::-1]))
        changes = [np.diff(key[order], prepend=-1) != 0 for key in keys]
        kept = order[np.logical_or.reduce(changes)]
        return FeaturePairs(**{name: values[kept] for name, values in vars(self).items()})
