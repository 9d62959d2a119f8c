"""Rank the database photos for the queries of a benchmark, with the optional methods of a `RunConfig`.

These are global descriptors, a shortlist, late fusion and query expansion.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from delfjax.evaluation.config import RunConfig
from delfjax.search.expansion import ExpansionConfig, expand_global, expand_local, trusted_photos
from delfjax.search.fusion import append_by_similarity, fuse, rank_by_similarity
from delfjax.search.searcher import Searcher, SearchResult
from delfjax.types import Features


def rank_queries(
    config: RunConfig,
    searcher: Searcher | None,
    queries: Sequence[Features],
    vectors: tuple[Float[np.ndarray, "q d"], Float[np.ndarray, "p d"]] | None,
) -> list[SearchResult]:
    """Return the search result of each query.

    Args:
        config: Settings of the evaluation.
        searcher: Searcher of the database. None: the search uses global descriptors alone.
        queries: Local features of each query. Empty without a searcher.
        vectors: Global descriptors of the queries, and those of the database in the order of the
            searcher. None: the search uses local features alone.
    """
    results = []
    count = len(queries) if vectors is None else len(vectors[0])
    for row in tqdm(range(count), desc="search", unit="query", leave=None):
        both = None if vectors is None else (vectors[0][row], vectors[1])
        if searcher is not None:
            results.append(_rank_by_local_features(searcher, queries[row], both, config))
        else:
            assert both is not None  # a `RunConfig` has local features or global descriptors
            results.append(_rank_by_global_descriptors(*both, config.expansion))
    return results


def _rank_by_global_descriptors(
    vector: Float[np.ndarray, " d"],
    database: Float[np.ndarray, "p d"],
    expansion: ExpansionConfig | None,
) -> SearchResult:
    """Rank photos by global descriptors. Rank again with query expansion, if configured."""
    result = rank_by_similarity(database @ vector)
    if expansion is not None:
        best = result.ranking.images[: expansion.max_photos]
        result = rank_by_similarity(database @ expand_global(vector, database[best], expansion))
    return result


def _rank_by_local_features(
    searcher: Searcher,
    query: Features,
    descriptors: tuple[Float[np.ndarray, " d"], Float[np.ndarray, "p d"]] | None,
    config: RunConfig,
) -> SearchResult:
    """Search by local features, with query expansion, a shortlist and late fusion, if configured.

    A shortlist limits the search to the photos with the most similar global descriptors. Late fusion
    averages the scores of both searches. Both need the global ``descriptors`` of query and database.
    """
    search: Callable[[Features], SearchResult] = searcher
    if descriptors is not None:
        vector, database = descriptors
        similarities = database @ vector
        if config.shortlist is not None:
            images = rank_by_similarity(similarities).ranking.images[: config.shortlist]
            search = partial(searcher.search_subset, images=images)
    result = search(query)
    if config.expansion is not None:
        if config.expansion.kind == "local":
            result = search(expand_local(query, result, searcher.database, config.expansion))
        else:
            verified = trusted_photos(result, config.expansion)
            similarities = database @ expand_global(vector, database[verified], config.expansion)
    if descriptors is None:
        return result
    if config.fusion_weight is None:
        return append_by_similarity(result, similarities)
    return fuse(result, similarities, features=len(query), weight=config.fusion_weight)
