"""Bytes that agree with what store and indexes really take, and laws that give back what made them."""

import numpy as np
import pytest

from benchmarks import scale_costs
from delfjax.features.store import FeatureStore
from delfjax.search.exact import ExactIndex
from delfjax.search.nndescent import NNDescentConfig, NNDescentIndex
from delfjax.types import Features

SIZES = [1e4, 1e5, 1e6, 1e7]
random = np.random.default_rng(0)
rows = random.standard_normal((600, 8), np.float32)


def test_bytes_of_a_store_are_those_of_its_tensors(tmp_path):
    ones = np.ones(600, np.float32)
    features = Features(
        positions=rows[:, :2], scales=ones, scores=ones, descriptors=rows, image_size=(4, 5)
    )
    with FeatureStore(tmp_path / "store", {}) as store:
        store.write("photo", features)
    on_disk = sum(file.stat().st_size for file in (tmp_path / "store").rglob("*.safetensors"))
    counted = sum(scale_costs.store_bytes(600, 8).values())
    assert counted <= on_disk < counted + 2000  # names, offsets


def test_bytes_of_an_index_are_its_memory():
    exact = ExactIndex(np.tile(rows, (3, 1))[:1024])  # a whole chunk: nothing is padded
    assert exact.memory == sum(scale_costs.index_bytes("exact", 1024, 8).values())
    edges, entries = np.zeros((600, 24), np.int32), np.zeros(2, np.int32)
    graph = NNDescentIndex(rows, edges, entries, NNDescentConfig())
    assert graph.memory - entries.nbytes == sum(
        scale_costs.index_bytes("nndescent", 600, 8).values()
    )


def test_bytes_of_codes():
    assert scale_costs.index_bytes("paper") == {"codes": 6250}
    assert sum(scale_costs.index_bytes("codes").values()) == 15_000
    with pytest.raises(ValueError, match="expected exact, nndescent, codes, paper"):
        scale_costs.index_bytes("tree")


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0, 1.2])
def test_a_power_law_is_found_again(exponent):
    law = scale_costs.fit(SIZES, [3 * size**exponent for size in SIZES])
    assert law.exponent == pytest.approx(exponent)
    np.testing.assert_allclose(law.at(np.array([10.0, 1e9])), 3 * np.array([10, 1e9]) ** exponent)
    np.testing.assert_allclose(law.band(np.array([1e9])), [law.at(np.array([1e9]))] * 2)


def test_units_of_cost_scale_the_law_and_its_band():
    values = np.exp(random.normal(size=4)) * SIZES
    one, other = (
        scale_costs.fit(SIZES, values.tolist()),
        scale_costs.fit(SIZES, (1000 * values).tolist()),
    )
    far = np.array([1e8, 1e9])
    np.testing.assert_allclose(other.band(far), 1000 * np.array(one.band(far)))


def test_band_widens_with_distance_and_share():
    law = scale_costs.fit(SIZES, [1, 12, 90, 1100])
    low, high = law.band(np.array([1e6, 1e8, 1e9]))
    assert (np.diff(high / low) > 0).all()
    assert (law.band(np.array([1e9]), 0.5)[1] < high[-1]).all()


def test_band_holds_the_next_measurement_as_often_as_it_says():
    inside = 0
    for trial in range(400):
        noise = np.exp(0.2 * np.random.default_rng(trial).normal(size=6))
        sizes = np.geomspace(1e4, 1e9, 6)
        law = scale_costs.fit(sizes[:5].tolist(), (sizes * noise)[:5].tolist())
        low, high = law.band(sizes[5:])
        inside += int(low[0] <= sizes[5] * noise[5] <= high[0])
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize(
    ("sizes", "values", "words"),
    [
        ([1, 2], [1, 2], "expected one a size"),
        ([1, 2, 2], [1, 2, 3], "expected one a size"),
        ([1, 2, 3], [1, 2], "expected one a size"),
        ([1, 2, 3], [1, 0, 3], "above 0"),
    ],
)
def test_what_no_law_can_be_fitted_to(sizes, values, words):
    with pytest.raises(ValueError, match=words):
        scale_costs.fit(sizes, values)


def test_between_measured_sizes_costs_lie_on_lines_of_logarithms():
    assert scale_costs.between(1e5, SIZES, [1, 7, 20, 30]) == pytest.approx(7)
    assert scale_costs.between(1e5, SIZES[::-1], [30, 20, 7, 1]) == pytest.approx(7)
    assert scale_costs.between(10**4.5, SIZES, [1, 100, 20, 30]) == pytest.approx(10)
    with pytest.raises(ValueError, match="not between"):
        scale_costs.between(2e7, SIZES, [1, 7, 20, 30])
