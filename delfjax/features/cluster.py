"""Run functions on a cluster of machines with Dask. The results are the same as in one process.

Limitations: all machines need the photos at the same path. The last bits of a descriptor can depend
on the type of the processor.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import distributed

    Client = distributed.Client
    Future = distributed.Future[Any]
else:
    Client = Future = Any  # Dask is an optional dependency

from delfjax.ranges import Range, check_number

Result = TypeVar("Result")

TASKS_PER_THREAD = 2  # one that runs and one that waits
WORKERS = Range(at_least=1, at_most=1024, whole=True)  # on this machine
CONNECT_SECONDS = 30  # time that a scheduler has to respond
START_SECONDS = 120  # time that a worker on this machine has to start
WORKER_SECONDS = 300  # time that the first worker of a scheduler has to join


def map_in_order(
    client: Client, function: Callable[..., Result], parts: Iterable[object], *shared: object
) -> Iterator[Result]:
    """Call ``function(part, *shared)`` on a cluster for each part, and yield the results in order.

    Workers may join and leave during the work. If a worker dies, another worker repeats the call,
    so the function must have no side effects. Each worker receives ``shared`` only once.

    Raises:
        Exception: The error of a call, or ``distributed.KilledWorker`` if several workers died
            during the same call.
        ConnectionError: If the scheduler stops.
    """
    parts = iter(parts)
    tasks: deque[Future] = deque()
    # Workers can send the result of a task to each other.
    sent = [submit(client, lambda each: each, each) for each in shared]
    while True:
        free = TASKS_PER_THREAD * max(1, sum(client.nthreads().values())) - len(tasks)
        tasks.extend(submit(client, function, part, *sent) for part in islice(parts, max(free, 0)))
        if not tasks:
            return
        yield wait_for(client, tasks.popleft())


def wait_for(client: Client, task: Future) -> Any:  # noqa: ANN401
    """Wait for a task and return its result. Raise a `ConnectionError` if the scheduler stops."""
    try:
        return task.result()
    except CancelledError as error:
        address = getattr(client.scheduler, "address", None)
        raise ConnectionError(
            f"{address}: the scheduler has stopped. Fix: start it again, and repeat the call"
        ) from error


def submit(client: Client, function: Callable[..., object], *arguments: object) -> Future:
    """Run ``function(*arguments)`` on a worker. Return the future of its result.

    The scheduler keeps the arguments while the future exists. If a worker dies, another worker can
    then repeat the call. Arguments may be large, such as a network or the descriptors of an index.
    """
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "16 GiB"}):
        # pure=False: Dask must not reuse the result of an earlier task with equal arguments.
        return client.submit(function, *arguments, pure=False)


@contextmanager
def connect_cluster(
    *, scheduler: str | None = None, workers: int | None = None
) -> Iterator[Client | None]:
    """Connect to a Dask cluster, or start one on this machine.

    Args:
        scheduler: Address of a running scheduler, such as ``tcp://10.0.0.1:8786``.
        workers: Number of workers to start on this machine if no scheduler is given. Each worker
            has one thread, because the neural network uses all cores.

    Yields:
        The client of the cluster. None if neither argument is given.

    Raises:
        ConfigError: If ``workers`` is out of range.
        ImportError: If Dask is not installed.
        OSError: If the scheduler does not respond, or has no workers.
    """
    if workers is not None:
        check_number("workers", workers, WORKERS)
    if not (scheduler or workers):
        yield None
        return
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            "Dask is not installed, but a cluster needs it. Fix: pip install 'delfjax[cluster]'"
        ) from error
    settings: dict[str, Any] = {"timeout": CONNECT_SECONDS}
    if not scheduler:
        # Port 0 of the dashboard is any free port; the default one may be in use.
        settings = {"dashboard_address": "127.0.0.1:0", "death_timeout": START_SECONDS}
        settings |= {"n_workers": workers, "threads_per_worker": 1}
    with distributed.Client(scheduler, **settings) as client:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
        yield client
