"""Reading ahead in the background: what is wanted next is there when it is asked for. Not in the paper."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Wanted, Read = TypeVar("Wanted"), TypeVar("Read")


def prefetch(
    read: Callable[[Wanted], Read], wanted: Iterable[Wanted], *, ahead: int = 4
) -> Iterator[Read]:
    """Yield ``read(each)`` for all that is wanted, in order.

    Args:
        read: What threads run.
        wanted: What they run it on; it may have no end.
        ahead: How many threads there are, and how many results may wait beside the one handed out.
    """
    if ahead < 1:
        raise ValueError(f"ahead is {ahead}; expected at least 1.")
    remaining = iter(wanted)
    pool = ThreadPoolExecutor(ahead, thread_name_prefix="photos")
    try:
        waiting = deque(pool.submit(read, each) for each in islice(remaining, ahead))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(read, each) for each in islice(remaining, 1))
            yield done
    finally:
        pool.shutdown(cancel_futures=True)
