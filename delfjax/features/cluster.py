"""Work in parts on a cluster of machines, by Dask: a part whose worker dies is done again by another.

`map_in_order` is all that extraction and index need of it: parts go out, a few ahead of what is asked for, and
their results come back in the order of the parts, each once. So whoever takes them, such as the one writer
of a store, cannot tell a cluster from a loop, and neither can what it makes.

Workers read photos where the caller says they are: the folder must be at the same place on every machine. A
network takes all cores of a machine, so start workers of one thread, one a machine or a GPU. Between
processors of different kinds the last bits of a network's features may differ. Not in the paper.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

Part = TypeVar("Part")
Result = TypeVar("Result")

AHEAD = 2  # parts a thread: one that it works at, and the next


@runtime_checkable
class Future(Protocol):
    """What will be the result of some work; while it is kept, so is the result."""

    def result(self) -> object:
        """Wait for the result; raise what the work raised."""


@runtime_checkable
class Client(Protocol):
    """What is used of a `distributed.Client`: so that nobody needs the package who has no cluster."""

    def submit(self, work: Callable, *arguments: object, **options: object) -> Future:
        """Have work done."""

    def nthreads(self) -> Mapping[str, int]:
        """Return the threads of each worker."""


def map_in_order(
    client: Client, work: Callable[..., Result], parts: Iterable[Part], *shared: object
) -> Iterator[Result]:
    """Yield ``work(part, *shared)`` of each part, in their order.

    Args:
        client: Of the cluster; workers may come and go meanwhile.
        work: A function of a module, without side effects: of what a dead worker did, nothing is left.
        parts: What to work at.
        shared: Goes to each worker once.

    Raises:
        Exception: What the work raises; or a ``distributed.KilledWorker`` for a part that several workers
            died of.
    """
    parts, waiting = iter(parts), deque()
    held = [submit(client, _itself, each) for each in shared]
    while True:
        room = AHEAD * max(1, sum(client.nthreads().values())) - len(waiting)
        waiting.extend(submit(client, work, part, *held) for part in islice(parts, max(room, 0)))
        if not waiting:
            return
        yield waiting.popleft().result()


def submit(client: Client, work: Callable, *arguments: object) -> Future:
    """Have a worker do some work.

    The scheduler keeps the arguments as long as the future is kept: from them it can have the result made
    again. They may be large, such as a network, or the rows of an index, which Dask would warn of.
    """
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "16 GiB"}):
        return client.submit(work, *arguments, pure=False)  # the same arguments, yet another result


@contextmanager
def connect_cluster(
    *, scheduler: str | None = None, workers: int | None = None
) -> Iterator[Client | None]:
    """Connect to a cluster for a while.

    Args:
        scheduler: Address of a scheduler that runs, such as ``tcp://10.0.0.1:8786``.
        workers: Without one: start so many workers on this machine, of one thread each.

    Yields:
        A client; None if neither is asked for.

    Raises:
        ImportError: If Dask is missing.
        OSError: If no scheduler answers.
    """
    if not (scheduler or workers):
        yield None
        return
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            "a cluster needs Dask distributed: pip install 'delfjax[cluster]'"
        ) from error
    if scheduler:
        with distributed.Client(scheduler) as client:
            yield client
        return
    # Its page at any free port: the default one may be another cluster's, which Dask would warn of.
    options = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
    }
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


def _itself(shared: Part) -> Part:
    """Return what is shared: as a result, workers have it from each other, and again if it is lost."""
    return shared
