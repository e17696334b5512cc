"""File locks: only one process at a time writes a folder or file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from videolatent_cli.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path, refusal: str, timeout_seconds: float = 0) -> Iterator[None]:
    """Hold a file lock; its folder is created if it is missing.

    Args:
        path: Lock file. It is never removed: two processes could then hold the lock.
        refusal: Message of the error if another process holds the lock.
        timeout_seconds: Longest time to wait for the lock (s); 0: do not wait; -1: no limit.

    Raises:
        ResourceError: If another process still holds the lock after that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout_seconds)
    except Timeout:
        raise ResourceError(refusal) from None
    try:
        yield
    finally:
        lock.release()
