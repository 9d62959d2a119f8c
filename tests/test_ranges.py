"""Every field of every configuration has a range or a type, and nothing outside is accepted."""

import math
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfjax.evaluation.config import RunConfig
from delfjax.features.cluster import connect_cluster
from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.pyramid import PyramidConfig
from delfjax.geometry.ransac import RansacConfig
from delfjax.ranges import SEED, Range, check_change, check_number
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import IndexConfig
from delfjax.search.nndescent import NNDescentConfig
from delfjax.search.product_quantization import ProductQuantizationConfig
from delfjax.search.searcher import SearchConfig
from delfjax.training.config import paper_config

TRAINING = paper_config()
CONFIGS = [
    *(PyramidConfig(), ExtractionConfig(), PCAConfig(), GlobalConfig()),
    *(RansacConfig(), SearchConfig(), NNDescentConfig(), ProductQuantizationConfig()),
    *(ExpansionConfig(), RunConfig(global_descriptor=GlobalConfig())),
    *(TRAINING, TRAINING.network, TRAINING.augmentation, TRAINING.optimizer),
]
FIELDS = [
    pytest.param(config, name, kind, id=f"{type(config).__name__}.{name}")
    for config in CONFIGS
    for name, kind in get_type_hints(type(config)).items()
]
NEVER = (math.nan, -math.inf, -1, -0.5, 10**400, True, "3", 3j, [], object())
HUGE = {int: (math.inf, 2**63, 1.5, 0.0), float: ()}


def numbers_of(kind: type) -> type | None:
    """Return int or float if a field holds numbers of this type, else None."""
    kinds = {kind, *get_args(kind)}
    return next((each for each in (int, float) if each in kinds), None)


@pytest.mark.parametrize(("config", "name", "kind"), FIELDS)
def test_no_field_accepts_what_is_never_right(config, name, kind):
    number = numbers_of(kind)
    wrong = (*NEVER, *HUGE[number]) if number else (math.nan, 3.5, object())
    if type(None) not in get_args(kind):
        wrong += (None,)
    for value in wrong:
        given_ = (value,) if get_origin(kind) is tuple and value is not None else value
        with pytest.raises(ValueError, match=rf"^{name} is .*; expected ") as caught:
            check_change(config, name, given_)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "name", "kind"),
    [each for each in FIELDS if get_origin(each.values[2]) is Literal],
)
def test_a_choice_names_the_choices(config, name, kind):
    with pytest.raises(
        ValueError, match=f"^{name} is 'guess'; expected one of '{get_args(kind)[0]}'"
    ):
        check_change(config, name, "guess")


@given(
    st.one_of(*(st.integers(), st.floats(), st.sampled_from(["", "3"]), st.none(), st.booleans()))
)
@settings(max_examples=30)
def test_a_seed_is_what_numpy_and_jax_accept(value):
    is_seed = type(value) is int and 0 <= value < 2**32
    assert (value in SEED) == is_seed
    if not is_seed:
        with pytest.raises(ValueError, match=r"^seed is "):
            check_change(RansacConfig(), "seed", value)


@given(st.floats(), st.floats(allow_nan=False, allow_infinity=False))
def test_a_range_has_its_limits(value, limit):
    assert (value in Range(at_least=limit)) == (limit <= value < math.inf)
    assert (value in Range(above=limit)) == (limit < value < math.inf)
    assert (value in Range(at_most=limit)) == (-math.inf < value <= limit)
    assert (value in Range(below=limit)) == (-math.inf < value < limit)
    assert (value in Range(at_least=0, infinite=True)) == (value >= 0)


def test_a_range_says_what_it_holds():
    assert (
        str(Range(at_least=1, at_most=9, whole=True))
        == "a whole number of at least 1 and at most 9"
    )
    assert str(Range(above=0, below=1)) == "a number above 0 and below 1"
    assert str(Range(at_least=0, infinite=True)) == "a number of at least 0, or infinity"
    with pytest.raises(ValueError, match=r"^--top is 0; expected a whole number of at least 1$"):
        check_number("--top", 0, Range(at_least=1, whole=True))


def test_fewer_hypotheses_than_are_screened_are_refused():
    with pytest.raises(
        ValueError, match="hypotheses is 10; expected a whole number of at least 64"
    ):
        RansacConfig(hypotheses=10)
    assert RansacConfig(hypotheses=64).hypotheses == 64


@pytest.mark.parametrize(
    "index",
    [
        IndexConfig(kind="tree"),
        IndexConfig(kind="exact", settings={"beam": 3}),
        IndexConfig(kind="auto", settings={"beam": 3}),
        IndexConfig(kind="nndescent", settings={"beam": 0}),
        IndexConfig(kind="nndescent", settings={"threads": 0}),
        IndexConfig(kind="pq", settings={"bits": 99}),
        IndexConfig(kind="pq", settings={"seed": 2**31}),
        IndexConfig(kind="sharded", settings={"size": 0}),
        IndexConfig(kind="sharded", settings={"inner": "pq", "beam": 3}),
    ],
)
def test_an_index_is_checked_before_it_is_built(index):
    with pytest.raises(ValueError, match=r"expected|known|settings"):
        index.check()


@pytest.mark.parametrize("workers", [0, -1, 10**9])
def test_a_cluster_has_workers(workers):
    with (
        pytest.raises(ValueError, match=r"workers is .*; expected a whole number of at least 1"),
        connect_cluster(workers=workers),
    ):
        pass
