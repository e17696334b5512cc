"""Things made ahead, in one thread, while others are used."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

T = TypeVar("T")
_AHEAD = 2


def prefetched(make: Callable[[int], T], indices: Iterable[int]) -> Generator[T]:
    """Yield `make(index)` for each index, in order; the next two are made meanwhile.

    Choice: a thread, not processes: LanceDB must not be forked after it was used, and reading rows
    and tokenizing leave Python's lock free most of the time. An error comes when its turn does.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, "prefetch") as pool:
        try:
            for index in indices:
                waiting.append(pool.submit(make, index))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
