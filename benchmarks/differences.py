"""Measure what some of the differences from the paper change. docs/differences.md lists all differences.

A *variant* is a run of the tables with one change. The variants of training are trained on the small rendered training set
with the settings of `small_config`, once each. Backbones are evaluated with selection by norm, and attention
heads on the ImageNet backbone with selection by attention. The other variants evaluate ``delf_ft_att``. The last two
rows are on the large set. The effect is the mAP of the variant minus the mAP without the change, with a 95% interval
over landmarks.

Trained models are saved in build/differences, so an interrupted study continues.
"""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

import delfjax as dx
from benchmarks.verification_study import without_own_photos
from delfjax.datasets import rendered
from delfjax.evaluation.benchmark import score
from delfjax.evaluation.significance import paired_difference
from delfjax.models import checkpoints
from delfjax.models.attention import Attention, softplus
from delfjax.models.layers import convolve
from delfjax.paper.runs import HEADLINE, LARGE, PROFILES, RUNS, load_results
from delfjax.provenance import RESULTS
from delfjax.search.searcher import Searcher
from delfjax.training import classifier, step
from delfjax.training.config import STAGES, TrainingConfig, small_config
from delfjax.training.data import SquareReader, label_by_folder
from delfjax.training.loop import TrainedModel
from delfjax.training.step import augment

RUN_FOLDER = Path("build/differences")
BACKEND = "openvino" if find_spec("openvino") else "jax"  # equal up to rounding
EPSILON = 1e-3  # of the batch norm of the attention head, as in the official code
COLUMNS = ("difference", "variant", "accuracy on held-out photos", "mAP", "effect on mAP")
UNCHANGED = "none"
STEP_1, STEP_2 = small_config("finetune"), small_config("attention")


# --- variants of the network


class RandomAttention(Attention):
    """Attention head whose last layer is not initialized with 0."""

    def __init__(self, channels: int, *, hidden: int, rngs: nnx.Rngs) -> None:
        super().__init__(channels, hidden=hidden, rngs=rngs)
        self.score = nnx.Conv(hidden, 1, (1, 1), conv_general_dilated=convolve, rngs=rngs)


class NormAttention(Attention):
    """Attention head with a batch norm after the first convolution, as in the official code."""

    def __init__(self, channels: int, *, hidden: int, rngs: nnx.Rngs) -> None:
        super().__init__(channels, hidden=hidden, rngs=rngs)
        self.gain, self.shift = nnx.Param(jnp.ones(hidden)), nnx.Param(jnp.zeros(hidden))

    def __call__(self, maps: Float[Array, "b y x c"]) -> Float[Array, "b y x"]:
        """Return the scores. The batch norm uses the mean and the variance of the batch."""
        x = self.hidden(maps)
        x = (x - x.mean((0, 1, 2))) / jnp.sqrt(x.var((0, 1, 2)) + EPSILON)
        return softplus(self.score(jax.nn.relu(x * self.gain + self.shift)))[..., 0]

    def fold(self, mean: Float[Array, " h"], variance: Float[Array, " h"]) -> Attention:
        """Return a head without batch norm, with the given mean and variance of its first layer."""
        channels, hidden = self.hidden.kernel.shape[2:]
        folded = Attention(channels, hidden=hidden, rngs=nnx.Rngs(0))
        factor = self.gain / jnp.sqrt(variance + EPSILON)
        folded.hidden.kernel.set_value(self.hidden.kernel * factor)
        folded.hidden.bias.set_value((self.hidden.bias - mean) * factor + self.shift)
        folded.score = self.score
        return folded


def trains_norms(path: tuple, config: dx.training.ClassifierConfig) -> bool:
    """Return whether a parameter is trained, if scales and biases of batch norms are trained."""
    trained = classifier.is_trainable(path, config)
    return trained or (path[1] in config.trainable_stages and "norm" in path)


def save_folded(trained: TrainedModel) -> Path:
    """Save a model with `NormAttention` without its batch norm. Return the file."""
    network, augmentation = trained.model, STEP_2.augmentation
    photos = label_by_folder(rendered.training_photos())
    reader = SquareReader(photos, augmentation.resize)

    @nnx.jit(static_argnames="size")
    def moments(network: classifier.Classifier, index: int, squares: Array, size: int) -> Array:
        crops = augment(jax.random.key(index), squares, crop=augmentation.crop, size=size)
        x = network.attention.hidden(network.backbone(crops)["conv4"])
        return jnp.stack(
            [x.sum((0, 1, 2)), (x**2).sum((0, 1, 2)), jnp.full(x.shape[-1], x[..., 0].size)]
        )

    sums = np.zeros((3, STEP_2.network.hidden_channels))
    for start in range(0, len(photos), STEP_2.batch_size):
        squares, _ = reader((start + np.arange(STEP_2.batch_size)) % len(photos))
        sums += sum(
            np.asarray(moments(network, start, squares, size)) for size in augmentation.input_sizes
        )
    mean, square = sums[:2] / sums[2]
    path = trained.file.with_name("folded.safetensors")
    head = network.attention.fold(mean, square - mean**2)
    checkpoints.save_model(path, network.backbone, head, with_backbone=False, training={})
    return path


# --- training


def attention(**changes: Any) -> TrainingConfig:
    """Return the settings of step 2 with changes of the network."""
    return replace(STEP_2, network=replace(STEP_2.network, **changes))


# Folder of the run: difference in docs/differences.md, variant, settings, replaced part of the library.
TRAINED: dict[str, tuple[str, str, TrainingConfig, Any]] = {
    "attention": (UNCHANGED, "attention of delfjax", STEP_2, nullcontext()),
    "sum": (
        "Pooling in training",
        "sum of L2-normalized descriptors",
        attention(pooling="sum"),
        nullcontext(),
    ),
    "eq1": (
        "Pooling in training",
        "sum of descriptors, Eq. 1",
        attention(pooling="sum", normalize_weighted=False),
        nullcontext(),
    ),
    "random": (
        "First attention scores",
        "random",
        STEP_2,
        mock.patch.object(classifier, "Attention", RandomAttention),
    ),
    "norm": (
        "Batch norm in the attention head",
        "yes",
        STEP_2,
        mock.patch.object(classifier, "Attention", NormAttention),
    ),
    "finetune": (UNCHANGED, "fine-tuning of delfjax", STEP_1, nullcontext()),
    "scales": (
        "Batch norm of the backbone",
        "scales and biases trained",
        STEP_1,
        mock.patch.object(step, "is_trainable", trains_norms),
    ),
    "stages": (
        "Fine-tuned stages",
        "all up to conv4",
        replace(STEP_1, network=replace(STEP_1.network, trainable_stages=STAGES)),
        nullcontext(),
    ),
}


def train_variants() -> Iterator[dict[str, Any]]:
    """Train and evaluate the variants of training. Yield one row each."""
    base: dict[str, Mapping[str, Any]] = {}
    for name, (difference, variant, config, change) in TRAINED.items():
        with change:
            trained = dx.train(rendered.training_photos(), RUN_FOLDER / name, config=config)
        path = save_folded(trained) if name == "norm" else trained.file
        part = config.network.variant
        head, method = ("attention", "att") if part == "attention" else ("descriptor", "ft_norm")
        result = evaluate(path, RUNS[method].at(PROFILES["embedded"]))
        base.setdefault(part, result)
        accuracy = trained.validation_metrics[f"validation_{head}_accuracy"]
        yield row(difference, variant, result, base[part]) | {"accuracy": round(100 * accuracy, 1)}


# --- evaluation


def evaluate(model: Path | str, config: dx.RunConfig, benchmark: str = HEADLINE) -> dict[str, Any]:
    """Evaluate a model, and return the summary."""
    loaded = dx.load(model, config.extraction, backend=BACKEND)
    return dx.evaluate(loaded, dx.datasets.load(benchmark), config).summary()


def evaluate_variants() -> Iterator[dict[str, Any]]:
    """Evaluate ``delf_ft_att`` with other settings. Yield one row per variant."""
    config = RUNS["ft_att"].at(PROFILES["embedded"])
    model = dx.load(config.model, config.extraction, backend=BACKEND)
    evaluation = dx.evaluate(model, dx.datasets.load(HEADLINE), config)
    found = evaluation.summary()
    yield row(UNCHANGED, "evaluation of delf_ft_att", found, found)
    fewer = replace(config.search.ransac, hypotheses=1000, refinements=0)
    codes = RUNS["ft_att_50b"].config.index
    for difference, variant, changed in (
        (
            "RANSAC",
            "1000 hypotheses, no refinement",
            replace(config, search=replace(config.search, ransac=fewer)),
        ),
        ("Index", "NNDescent", replace(config, index=dx.IndexConfig(kind="nndescent"))),
        ("Index", "50-bit codes", replace(config, index=codes)),
    ):
        yield row(difference, variant, evaluate(config.model, changed), found)
    without = without_own_photos(evaluation.benchmark)
    evaluation.scores = score(without, evaluation.results)
    yield row("Photo of a query as a result", "not counted in mAP", evaluation.summary(), found)
    for name in ("ft_att", "ft_att_200f", "ft_att_1000f"):
        config = RUNS[name].at(PROFILES["embedded"])
        default = replace(config, search=dx.SearchConfig(features=config.search.features))
        base = found if name == "ft_att" else evaluate(config.model, config)
        weighted = evaluate(config.model, default)
        with mock.patch.object(
            Searcher, "_weights", lambda _, __, pairs: np.ones(len(pairs.images))
        ):
            equal = evaluate(config.model, default)
        features = f"{config.search.features} features"
        yield row(UNCHANGED, f"evaluation of delf_ft_att, {features}", base, base)
        yield row("Score of a photo", f"votes and inliers, with scales, {features}", equal, base)
        yield row("Score of a photo", f"the same with weights, {features}", weighted, base)


def evaluate_sizes() -> Iterator[dict[str, Any]]:
    """Compare photos of half the size on `LARGE` with the committed result."""
    profile = PROFILES["full"]
    (base,) = load_results("ft_att", RESULTS / profile.folder, LARGE, seeds=False)
    small = RUNS["ft_att"].at(replace(profile, longest=profile.longest // 2))
    yield row(UNCHANGED, f"delf_ft_att on {LARGE}, {profile.longest} pixels", base, base)
    variant = f"{small.extraction.pyramid.longest} pixels"
    yield row("Size of photos", variant, evaluate(small.model, small, LARGE), base)


def row(
    difference: str, variant: str, result: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of a variant, compared with the result without the change."""
    effect = None if result is base else [round(v, 1) for v in paired_difference([result], [base])]
    return {"difference": difference, "variant": variant, "mAP": result["value"], "effect": effect}


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the result as a Markdown table."""
    lines = [[*COLUMNS], ["---"] * len(COLUMNS)]
    for each in rows:
        # Adding 0 turns -0.0 into 0.0.
        effect = each["effect"] and "{:+.1f} ({:.1f} to {:.1f})".format(
            *(value + 0.0 for value in each["effect"])
        )
        accuracy = f"{each['accuracy']}%" if "accuracy" in each else ""
        lines.append(
            [each["difference"], each["variant"], accuracy, f"{each['mAP']:.1f}", effect or ""]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run() -> dict[str, Any]:
    """Measure all variants."""
    rows = [*train_variants(), *evaluate_variants(), *evaluate_sizes()]
    largest = max(
        (each for each in rows if each["effect"]), key=lambda each: abs(each["effect"][0])
    )
    return {
        "value": largest["effect"][0],
        "what": f"largest effect on mAP, of {largest['variant']}",
        "rows": rows,
        "config": {"benchmarks": [HEADLINE, LARGE], "seed": STEP_2.seed},
    }
