"""Compute the next items in background threads while the caller works on the current one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int = 4
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, computed in threads.

    Args:
        function: The function that the threads call.
        items: Its arguments. They may be endless.
        ahead: Number of threads, and of results that are computed in advance.
    """
    if ahead < 1:
        raise ValueError(f"ahead is {ahead}; expected at least 1.")
    remaining = iter(items)
    pool = ThreadPoolExecutor(ahead, thread_name_prefix="photos")
    try:
        pending = deque(pool.submit(function, item) for item in islice(remaining, ahead))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
