"""Rank database photos for a query photo by nearest neighbors, votes and RANSAC (Sec. 4.4).

The index finds the 60 nearest database features of each query feature. A query feature and its
nearest neighbor in a photo are a putative match, unless the neighbor is nearer to another query
feature. Each putative match is a vote for the photo. RANSAC verifies the photos with the highest sum of
votes. It finds the inliers: matches that agree with one affine map between the two photos. In the
paper, photos with most inliers come first. By default, the score of a photo is the sum of weighted
votes and weighted inliers. A match has a high weight if both features have high attention scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from delfjax.features.database import Database
from delfjax.features.pca import PCA, truncate_descriptors
from delfjax.features.store import FeatureStore
from delfjax.geometry.ransac import RansacConfig, Verification, verify
from delfjax.ranges import COUNT, COUNT_OR_0, RATIO, Range, check_fields
from delfjax.search.index import NEIGHBORS, Index, IndexConfig, Neighbors, build_index
from delfjax.search.verdict import Verdict, judge
from delfjax.types import Features, Matches, Ranking

Score = Literal["weighted", "inliers"]
VERIFIED = 100  # photos to verify, as in image_reranking of the official code


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search by local features.

    Attributes:
        neighbors: Number of nearest database features found for each query feature (``K``).
        max_distance: Maximum L2 distance of a neighbor (0.8 in the official ``match_images``, 0.9
            in ``image_reranking``). The default is infinity, because the paper gives no limit.
        ratio: Maximum distance of a neighbor, divided by the distance of the ``K``-th neighbor,
            which represents the background (McCann and Lowe, "Local naive Bayes nearest neighbor",
            CVPR 2012). Above 0, at most 1; 1 disables the test. A test with the second neighbor
            would reject landmarks that several photos show. Not in the paper.
        one_to_one: Whether each database feature keeps only its nearest query feature. If not, a
            database feature in the sky may count as many inliers. Not in paper or official code.
        verified: Number of photos to verify by RANSAC. The photos with the highest sum of votes are
            verified. 0 disables the verification: photos are ranked by this sum. With the score
            ``"weighted"``, the votes are weighted.
        score: Score by which photos are ranked. ``"inliers"``: the number of inliers, as in the
            paper. ``"weighted"``: the sum of the weights of all matches, plus the sum of the weights
            of the inliers. The *relative score* of a feature is its score, divided by the mean
            score of all features of its photo. The weight of a match is the product of the relative
            scores of its two features. Without attention, all weights are 1. Photos of the same
            place from another side have matches, but few inliers, so matches count too. Saved
            settings that lack this field use ``"inliers"``.
        features: Maximum number of features of a database photo, and of a query that
            `Searcher.reduce` reduces. The features with the highest scores are used. None: all
            features. To limit a query that is already reduced, call `limit_features`.
        truncate: Number of leading dimensions of a descriptor to use. A PCA with this many
            dimensions gives the same descriptors. None: all dimensions.
        ransac: Settings of the verification by RANSAC.
    """

    neighbors: int = NEIGHBORS
    max_distance: float = float("inf")
    ratio: float = 1.0
    one_to_one: bool = True
    verified: int = VERIFIED
    score: Score = field(default="weighted", metadata={"missing": "inliers"})
    features: int | None = None
    truncate: int | None = None
    ransac: RansacConfig = field(default_factory=RansacConfig)

    def __post_init__(self) -> None:
        counts = {"neighbors": COUNT, "features": COUNT, "truncate": COUNT, "verified": COUNT_OR_0}
        check_fields(self, max_distance=Range(at_least=0, infinite=True), ratio=RATIO, **counts)

    def limit_features(self, features: Features) -> Features:
        """Keep the best features of a photo, and the first dimensions of their descriptors.

        Limits: ``self.features``, ``self.truncate``. Truncated descriptors are L2-normalized again.
        """
        best = features[: self.features]
        return best.with_descriptors(truncate_descriptors(best.descriptors, self.truncate))

    def load_database(self, store: FeatureStore, names: Sequence[str] | None = None) -> Database:
        """Load the features of some or all photos of a store, limited as in `limit_features`."""
        database = store.gather(names, limit=self.features)
        descriptors = truncate_descriptors(database.descriptors, self.truncate)
        return replace(database, descriptors=descriptors)


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """Ranking of database photos for a query, and the matches that led to the ranking.

    Attributes:
        ranking: Ranked photos. `Searcher` ranks every photo with at least one vote, by the score of
            `SearchConfig`, then by votes, then by index. `delfjax.search.fusion` ranks all database
            photos. ``searcher.database.names`` has the name of each photo.
        matches: Putative matches (before RANSAC) of each verified photo, by index of the photo.
        verifications: Result of RANSAC for each verified photo, by index of the photo.
        ransac: Settings of the verification.
    """

    ranking: Ranking
    matches: dict[int, Matches]
    verifications: dict[int, Verification]
    ransac: RansacConfig = field(default_factory=RansacConfig)

    @cached_property  # evaluations do not need verdicts, which take as long as RANSAC
    def verdicts(self) -> dict[int, Verdict]:
        """Whether each verified photo shows the place of the query, by index of the photo."""
        found = self.verifications.items()
        return {image: judge(self.matches[image], each, self.ransac) for image, each in found}

    def renumber(self, images: Int[np.ndarray, " p"]) -> "SearchResult":
        """Return the result for a database in which photo ``i`` has the index ``images[i]``."""
        return replace(
            self,
            ranking=replace(self.ranking, images=images[self.ranking.images]),
            matches={int(images[row]): each for row, each in self.matches.items()},
            verifications={int(images[row]): each for row, each in self.verifications.items()},
        )


class Searcher:
    """Search engine that ranks the photos of a database for a query photo.

    Args:
        database: Features of the photos. A `FeatureStore` is loaded by
            `SearchConfig.load_database`. A `Database` is used without changes.
        index: Index of the descriptors of the database. If it is an `IndexConfig` or a kind of
            index, such as ``"exact"``, a new index is built.
        config: Settings of the search. None: the defaults.
        pca: PCA that reduced the descriptors of the database. None: the PCA of a `FeatureStore`.

    Raises:
        ValueError: If the index cannot be built, if database and index differ in their number of
            descriptors or dimensions, or if the PCA does not reduce the number of dimensions, by which
            `reduce` recognizes queries that are already reduced.
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
                f"the PCA keeps all {len(self.pca.components)} dimensions, so it is unknown whether a query went "
                "through it; expected a PCA that keeps fewer. Fix: use Searcher(store.gather()), whose "
                "descriptors went through the PCA, and apply the PCA to each query yourself"
            )
        self.database = database
        if isinstance(index, IndexConfig):
            index = index.build(database.descriptors)
        elif not isinstance(index, Index):
            index = build_index(database.descriptors, index)
        count, dimensions = database.descriptors.shape
        if (len(index), index.dimensions) != (count, dimensions):
            raise ValueError(
                f"the index has {len(index)} descriptors of {index.dimensions} dimensions, but the database "
                f"has {count} descriptors of {dimensions} dimensions. Fix: build the index from this database"
            )
        self.index = index

    def __call__(self, query: Features) -> SearchResult:
        """Rank the photos of the database for a query photo.

        ``query`` holds the features of the photo, as extracted or reduced by the PCA.
        """
        query = self.reduce(query)
        return self.rank(query, self.find_neighbors(query))

    def reduce(self, features: Features) -> Features:
        """Reduce the features of a photo by the PCA of the database, and limit them as configured.

        Limits are ``features`` and ``truncate`` of `SearchConfig`. Features with as many dimensions as
        the database stay unchanged. Features with the dimensions of the PCA are only limited.
        """
        dimensions = features.descriptors.shape[1]
        if dimensions == self.index.dimensions:
            return features
        if self.pca is not None and dimensions > len(self.pca.components):
            features = features.with_descriptors(self.pca(features.descriptors))
        return self.config.limit_features(features)

    def search_subset(self, query: Features, images: Int[np.ndarray, " b"]) -> SearchResult:
        """Rank only the database photos with the indices ``images``, by exact search."""
        subset = Searcher(self.database.select(images), "exact", self.config, pca=self.pca)
        return subset(query).renumber(images)

    def find_neighbors(self, query: Features) -> Neighbors:
        """Find the nearest database features of each feature of a query. Pass a reduced query."""
        k = min(self.config.neighbors, len(self.database.descriptors))
        return self.index.search(query.descriptors, k)

    def rank(self, query: Features, neighbors: Neighbors) -> SearchResult:
        """Count votes, verify the photos with the highest sum of votes, and rank all photos with votes.

        The arguments are the results of `reduce` and `find_neighbors`.
        """
        return self.rank_pairs(query, self.pair_features(neighbors))

    def rank_pairs(self, query: Features, pairs: "FeaturePairs") -> SearchResult:
        """Rank photos as `rank` does, given the result of `pair_features`."""
        weights = self._weights(query, pairs)
        votes = np.bincount(pairs.images, minlength=len(self.database))
        weighted = np.bincount(pairs.images, weights, minlength=len(votes))
        order = np.lexsort((np.arange(len(votes)), -weighted))
        order = order[votes[order] > 0]
        candidates = order[: self.config.verified].tolist()
        matches = {image: self.photo_matches(query, pairs, image) for image in candidates}
        results = verify(list(matches.values()), self.config.ransac)
        verifications = dict(zip(matches, results, strict=True))
        inliers = np.full(len(votes), -1)
        for image, verification in verifications.items():
            inliers[image] = verification.num_inliers
            weighted[image] += weights[pairs.rows(image)][verification.inliers].sum()
        by_inliers = self.config.score == "inliers"
        scores = inliers if by_inliers else weighted
        order = order[np.lexsort((order, -votes[order], -scores[order]))]
        ranking = Ranking(
            images=order,
            inliers=inliers[order],
            votes=votes[order],
            scores=None if by_inliers else scores[order],
        )
        return SearchResult(
            ranking=ranking,
            matches=matches,
            verifications=verifications,
            ransac=self.config.ransac,
        )

    def pair_features(self, neighbors: Neighbors) -> "FeaturePairs":
        """Pair each query feature with its nearest neighbor in each photo; see `SearchConfig`."""
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

    def _weights(self, query: Features, pairs: "FeaturePairs") -> Float[np.ndarray, " m"]:
        """Return the weight of each pair, as in `SearchConfig`. It is 1 for the score ``"inliers"``."""
        weights = np.ones(len(pairs.images))
        if self.config.score == "weighted" and self.database.attention:
            mean = query.scores.sum() / max(len(query), 1)
            means = mean * self.database.mean_scores[pairs.images]
            scores = query.scores[pairs.query_rows] * self.database.scores[pairs.database_rows]
            # Features count the same if all scores of a photo are 0.
            np.divide(scores, means, out=weights, where=means > 0)
        return weights

    def photo_matches(self, query: Features, pairs: "FeaturePairs", image: int) -> Matches:
        """Return the putative matches (before RANSAC) of the photo with index ``image``."""
        pairs = pairs.of_photo(image)
        ours, theirs = pairs.query_rows, pairs.database_rows
        return Matches(
            query=query.positions[ours],
            database=self.database.positions[theirs],
            distances=pairs.distances,
            scales=np.stack([query.scales[ours], self.database.scales[theirs]], axis=1),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FeaturePairs:
    """Pairs of one query feature and one database feature, sorted by database photo.

    Attributes:
        images: Index of the database photo that contains the database feature.
        query_rows: Row of the query feature among the features of the query.
        database_rows: Row of the database feature among the features of all photos.
        distances: L2 distance of the two descriptors.
    """

    images: Int[np.ndarray, " m"]
    query_rows: Int[np.ndarray, " m"]
    database_rows: Int[np.ndarray, " m"]
    distances: Float[np.ndarray, " m"]

    def nearest_of(self, *keys: Int[np.ndarray, " m"]) -> "FeaturePairs":
        """Keep only the nearest of all pairs with equal values in ``keys``. Sort by ``keys``."""
        order = np.lexsort((self.distances, *keys[::-1]))
        changes = [np.diff(key[order], prepend=-1) != 0 for key in keys]
        return self._select(order[np.logical_or.reduce(changes)])

    def rows(self, image: int) -> slice:
        """Return the rows of the pairs of the photo with index ``image``."""
        return slice(*np.searchsorted(self.images, [image, image + 1]))

    def of_photo(self, image: int) -> "FeaturePairs":
        """Return the pairs of the photo with index ``image``."""
        return self._select(self.rows(image))

    def _select(self, rows: Int[np.ndarray, " k"] | slice) -> "FeaturePairs":
        return FeaturePairs(**{name: values[rows] for name, values in vars(self).items()})
