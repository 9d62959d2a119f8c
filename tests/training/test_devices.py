"""Sharing batches among devices; whole runs on several of them are in test_loop."""

import jax
import numpy as np
import pytest

from delfjax.training.devices import all_devices, check_batch, everywhere, own_part, spread


def test_a_batch_is_spread_and_the_rest_is_everywhere():
    mesh = all_devices()
    photos, labels = np.arange(12).reshape(4, 3), np.arange(4)
    for whole, found in zip((photos, labels), spread(mesh, photos, labels), strict=True):
        np.testing.assert_array_equal(found, whole)
        assert found.sharding.spec == jax.P("photos")
    assert everywhere(mesh, {"kernel": photos})["kernel"].sharding.is_fully_replicated


@pytest.mark.parametrize("host", range(3))
def test_each_host_reads_its_third(monkeypatch, host):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: host)
    assert list(range(12))[own_part(12)] == list(range(4 * host, 4 * host + 4))


@pytest.mark.parametrize("batch", [0, 7, 12])
def test_a_batch_that_devices_cannot_share_is_refused(batch):
    check_batch(16, 8)
    with pytest.raises(ValueError, match=f"a batch of {batch} photos for 8 devices"):
        check_batch(batch, 8)
