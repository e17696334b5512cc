"""One process at a time: the lock of a writer."""

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
    """Hold the lock file of a path; the folder is made if it is missing.

    Args:
        path: The lock file. It stays: removing it would let two processes hold it.
        refusal: What the error says.
        timeout_seconds: How long to wait for another process; -1: for ever.

    Raises:
        ResourceError: Where another process holds it.
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
