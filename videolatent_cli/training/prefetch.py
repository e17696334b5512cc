"""Prefetching: make values in one thread while earlier ones are used."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

T = TypeVar("T")
_AHEAD = 2
"""Number of values that are made in advance."""


def prefetched(make: Callable[[int], T], indices: Iterable[int]) -> Generator[T]:
    """Yield `make(index)` for each index in order, while a thread makes the next two values.

    An error in `make` is raised when its value is due.

    Choice: a thread instead of processes. LanceDB must not be forked after use, and reading rows
    and tokenizing release Python's global lock most of the time.
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
