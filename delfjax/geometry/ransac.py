"""Verify the candidate photos of a query by RANSAC (Sec. 4.4).

Each candidate photo has up to 1000 putative (unverified) matches. A model is an affine map from the
query to the candidate (`delfjax.geometry.affine`). RANSAC computes thousands of models from random
samples of three matches. All models are scored on a few matches, and the best ones on all matches.
The best model is refined by least squares on its inliers: the matches that agree with the model.

The paper has one inlier threshold for all matches. But a cell of the feature map covers 64 pixels
of the photo at scale 0.25, and 8 at scale 2. By default, the threshold of a match is therefore
divided by the scale of its database feature. The scales of both features must agree with the model.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from delfjax.geometry import affine
from delfjax.ranges import SEED, Range, check_fields, check_number
from delfjax.types import Matches

# Arrays are padded to one of these sizes, so that few programs are compiled.
MATCH_BUCKETS = (64, 256, 1024)
CANDIDATE_BUCKETS = (1, 16)
OUTLIER = 2.0  # squared residual, relative to the threshold, of a match with a wrong scale
MAX_SCALE_ERROR = 2.0  # between the scale of a map and that of a match; levels are 1.41 apart


@dataclass(frozen=True, kw_only=True)
class RansacConfig:
    """Settings of RANSAC.

    Attributes:
        residual: Inlier threshold: maximum distance in pixels, in the database photo, between a
            mapped query point and its match. 20 in the official DELF code.
        scale_aware: Whether to use the scales of the features, if they are known. The threshold of a
            match is then ``residual`` divided by the scale of its database feature. The map must
            change lengths by the ratio of the query scale to the database scale, within a factor of
            2. Not in the paper. Saved settings that lack this field use False.
        model: Kind of map from the query to the database photo. Always affine, as in the paper.
        hypotheses: Number of maps computed from random samples (1000 in the official code). At
            least ``screened``.
        screened: Number of maps that are kept after the first scoring.
        screen_matches: Number of random matches used in the first scoring.
        refinements: Number of least-squares fits of the best map to its inliers, 0 to 100.
        max_stretch: Maximum scale factor of a map in any direction, at least 1. The minimum is
            ``1 / max_stretch``. Other maps and mirrored maps are rejected. Without these limits, a
            map of a whole photo to one point could win. Not in the paper.
        seed: Random seed of the samples.
    """

    residual: float = 20.0
    scale_aware: bool = field(default=True, metadata={"missing": False})
    model: Literal["affine"] = "affine"
    hypotheses: int = 4096
    screened: int = 64
    screen_matches: int = 128
    refinements: int = 4
    max_stretch: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        number = Range(at_least=1, at_most=2**20, whole=True)
        check_fields(
            self,
            residual=Range(at_least=0.001, at_most=1e6),
            hypotheses=number,
            screened=number,
            screen_matches=number,
            refinements=Range(at_least=0, at_most=100, whole=True),
            max_stretch=Range(at_least=1, at_most=1e6),
            seed=SEED,
        )
        enough = Range(at_least=self.screened, at_most=number.at_most, whole=True)
        check_number("hypotheses", self.hypotheses, enough)


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """Result of RANSAC for one candidate photo.

    Attributes:
        affine: Affine map from ``(y, x, 1)`` in the query to ``(y, x)`` in the candidate. NaN if none
            was found.
        inliers: Whether each match is an inlier.
    """

    affine: Float[np.ndarray, "2 3"]
    inliers: Bool[np.ndarray, " m"]

    @property
    def num_inliers(self) -> int:
        """Number of inliers, the score of a photo in the paper."""
        return int(self.inliers.sum())


def verify(candidates: Sequence[Matches], config: RansacConfig | None = None) -> list[Verification]:
    """Verify candidate photos by RANSAC, given the putative matches of the query with each photo.

    Return one result per candidate. Candidates are verified independently, but scales are used only if
    all candidates have them. More than 16 candidates are verified in threads, in which the JAX context
    managers of the caller do not apply.
    """
    config = config or RansacConfig()
    known = all(matches.scales is not None for matches in candidates)
    config = replace(config, scale_aware=known and config.scale_aware)
    size = CANDIDATE_BUCKETS[-1]
    batches = [candidates[n : n + size] for n in range(0, len(candidates), size)]
    if len(batches) < 2:  # in this thread, so that context managers of JAX apply
        return [found for batch in batches for found in _verify_batch(batch, config)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a batch keeps only one core busy
        return [*chain.from_iterable(pool.map(partial(_verify_batch, config=config), batches))]


def _verify_batch(candidates: Sequence[Matches], config: RansacConfig) -> list[Verification]:
    most = max(len(matches) for matches in candidates)
    # More matches than the largest bucket occur only with more than 1000 features per photo.
    larger = 1 << (most - 1).bit_length()
    size = next((bucket for bucket in MATCH_BUCKETS if bucket >= most), larger)
    rows = next(bucket for bucket in CANDIDATE_BUCKETS if bucket >= len(candidates))
    points = np.zeros((2, rows, size, 2), np.float32)
    scales = np.ones((rows, size, 2), np.float32)
    counts = np.zeros(rows, np.int32)
    for row, matches in enumerate(candidates):
        counts[row] = len(matches)
        points[0, row, : len(matches)] = matches.query
        points[1, row, : len(matches)] = matches.database
        if config.scale_aware:
            scales[row, : len(matches)] = matches.scales
    found, models, inliers = map(np.array, _ransac_all(*points, scales, counts, config))
    models[~found] = np.nan
    return [
        Verification(affine=models[row], inliers=inliers[row, : len(matches)])
        for row, matches in enumerate(candidates)
    ]


@partial(jax.jit, static_argnames="config")
def _ransac_all(
    source: Float[Array, "b m 2"],
    target: Float[Array, "b m 2"],
    scales: Float[Array, "b m 2"],
    counts: Int[Array, " b"],
    config: RansacConfig,
) -> tuple[Bool[Array, " b"], Float[Array, "b 2 3"], Bool[Array, "b m"]]:
    """Verify the candidates of a batch one after another. They keep about one core busy."""
    key = jax.random.key(config.seed)
    find = partial(_ransac, key=key, config=config)

    def verify_one(candidate: tuple[Array, ...]) -> Any:  # noqa: ANN401
        """Skip candidates that only fill up the batch, and others without enough matches."""
        outputs = jax.eval_shape(find, *candidate)
        nothing = jax.tree.map(lambda output: jnp.zeros(output.shape, output.dtype), outputs)
        enough = candidate[-1] >= affine.SAMPLE_SIZE
        return jax.lax.cond(enough, lambda: find(*candidate), lambda: nothing)

    found, models, inliers = jax.lax.map(verify_one, (source, target, scales, counts))
    return found, models, inliers


def _ransac(
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    scales: Float[Array, "m 2"],
    count: Int[Array, ""],
    key: Key[Array, ""],
    config: RansacConfig,
) -> tuple[Bool[Array, ""], Float[Array, "2 3"], Bool[Array, " m"]]:
    """Return whether a model was found, the best model, and its inliers.

    No number on the way is NaN or infinite, so that JAX's checks for these numbers can be used.
    """
    valid = jnp.arange(len(source)) < count
    # The scales are 1 if they are unknown or not used.
    weights = (scales[:, 1] / config.residual) ** 2  # 1 / threshold^2
    enlarged = (scales[:, 0] / scales[:, 1]) ** 2  # area of the database feature / query feature
    least, most = enlarged / MAX_SCALE_ERROR**2, enlarged * MAX_SCALE_ERROR**2

    def residuals(models: Array, rows: Array | slice = slice(None)) -> Array:
        """Return squared residuals relative to the thresholds. Those of inliers are at most 1."""
        squared = affine.squared_residuals(models, source[rows], target[rows])
        relative: Array = squared * weights[rows]
        if config.scale_aware:
            areas = affine.areas(models)[..., None]
            agree = (areas >= least[rows]) & (areas <= most[rows])
            relative = jnp.where(agree, relative, OUTLIER)
        return relative

    def all_residuals(models: Array) -> Array:
        return jnp.where(valid, residuals(models), OUTLIER)

    sample_key, screen_key = jax.random.split(key)
    samples = draw_samples(sample_key, config.hypotheses, count)
    models = affine.solve(source[samples], target[samples])
    plausible = affine.is_plausible(models, config.max_stretch)

    subset = jnp.floor(
        jax.random.uniform(screen_key, (config.screen_matches,)) * count.astype(jnp.float32)
    ).astype(int)
    screened = _score_each(models, lambda some, row: residuals(some, row[None]), subset)
    _, passed = jax.lax.top_k(jnp.where(plausible, screened, -1.0), config.screened)
    scores = _score_each(
        models[passed],
        lambda some, row: jnp.where(valid[row], residuals(some, row[None]), OUTLIER),
        jnp.arange(len(source)),
    )
    best = passed[jnp.argmax(jnp.where(plausible[passed], scores, -1.0))]

    model = models[best]
    errors = all_residuals(model)
    for _ in range(config.refinements):  # local optimization: keep a fit if its score is higher
        fitted = affine.fit(source, target, errors <= 1)
        after = all_residuals(fitted)
        better = msac_score(after) > msac_score(errors)
        better &= affine.is_plausible(fitted[None], config.max_stretch)[0]
        model, errors = jnp.where(better, fitted, model), jnp.where(better, after, errors)

    inliers = errors <= 1
    found = plausible[best] & (inliers.sum() >= affine.SAMPLE_SIZE)
    return found, model, inliers & found


def _score_each(
    models: Float[Array, "s 2 3"],
    residuals: Callable[[Array, Array], Array],
    rows: Int[Array, " n"],
) -> Float[Array, " s"]:
    """Compute `msac_score` of many models on some matches, one match after another.

    On a CPU, this is several times faster than one model after another: the numbers of all models
    lie side by side in memory.
    """
    models = jnp.moveaxis(models, 0, -1)

    def add(total: Array, row: Array) -> tuple[Array, None]:
        return total + msac_score(residuals(jnp.moveaxis(models, -1, 0), row)), None

    return jax.lax.scan(add, jnp.zeros(models.shape[-1]), rows, unroll=8)[0]


def draw_samples(key: Key[Array, ""], number: int, count: Int[Array, ""]) -> Int[Array, "s 3"]:
    """Draw ``number`` random samples of three distinct indices from 0 to ``count - 1``.

    The samples are drawn by Floyd's algorithm.
    """
    size = affine.SAMPLE_SIZE
    uniform = jax.random.uniform(key, (size, number))
    ranges = jnp.maximum(count, size).astype(jnp.float32) - jnp.arange(size - 1.0, -1.0, -1.0)
    below = ranges[:, None]
    drawn: list[Int[Array, " s"]] = []
    candidates = jnp.floor(uniform * below).astype(int)
    for column, candidate in enumerate(candidates):
        # An index that is already in the sample is replaced by the largest index of the range, which is new.
        taken = jnp.zeros(number, bool)
        for earlier in drawn:
            taken |= candidate == earlier
        drawn.append(jnp.where(taken, below[column].astype(int) - 1, candidate))
    return jnp.stack(drawn, axis=1)


def msac_score(residuals: Float[Array, "*s m"]) -> Float[Array, "*s"]:
    """Score each model by its inliers, weighted by closeness (MSAC, Torr and Zisserman 2000).

    The score is ``sum max(0, 1 - r^2 / t^2)`` over the matches. ``residuals`` holds ``r^2 / t^2``:
    the squared distance of each match, relative to its inlier threshold.
    """
    return jnp.maximum(0.0, 1 - residuals).sum(-1)
