"""Distribution of batches over devices. test_loop trains on several devices."""

import jax
import numpy as np
import pytest

from delfjax.training.devices import (
    check_batch_size,
    device_mesh,
    host_rows,
    replicate,
    shard_batch,
)


def test_batches_are_sharded_and_parameters_replicated():
    mesh = device_mesh()
    photos, labels = np.arange(12).reshape(4, 3), np.arange(4)
    for array, found in zip((photos, labels), shard_batch(mesh, photos, labels), strict=True):
        np.testing.assert_array_equal(found, array)
        assert found.sharding.spec == jax.P("photos")
    assert replicate(mesh, {"kernel": photos})["kernel"].sharding.is_fully_replicated


@pytest.mark.parametrize("host", range(3))
def test_each_of_three_hosts_reads_a_third(monkeypatch, host):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: host)
    assert list(range(12))[host_rows(12)] == list(range(4 * host, 4 * host + 4))


@pytest.mark.parametrize("batch_size", [0, 7, 12])
def test_batch_size_must_be_a_multiple_of_the_devices(batch_size):
    check_batch_size(16, 8)
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}; expected a multiple of 8"):
        check_batch_size(batch_size, 8)
