"""Worker processes for single files: a decoder that crashes or hangs costs only that file."""

from __future__ import annotations

import multiprocessing
import resource
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from videolatent_cli.errors import VideoError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

_GRACE_SECONDS = 10.0
"""Extra time for the worker process, so that ffmpeg's own time limit ends ffmpeg first."""
_MEMORY_BYTES = 8 << 30
"""Memory limit of a worker process, and of the ffmpeg that it starts."""


class Isolation:
    """Pool of spawned processes with a time limit per file and a memory limit per process."""

    def __init__(self, jobs: int, timeout_seconds: float) -> None:
        self._seconds = timeout_seconds + _GRACE_SECONDS
        self._pool = ProcessPool(
            max_workers=jobs,
            context=multiprocessing.get_context("spawn"),
            initializer=_limit_memory,
            initargs=[_MEMORY_BYTES],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.stop()
        self._pool.join()

    def run(
        self,
        function: Callable[Concatenate[Path, Arguments], Result],
        path: Path,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Return the result of a function, called with a file in a worker process.

        Raises:
            VideoError: If the function raises it, takes too long or too much memory, or crashes.
        """
        future = self._pool.schedule(function, [path, *args], kwargs, timeout=self._seconds)
        try:
            result: Result = future.result()
        except FutureTimeoutError:
            raise VideoError(
                f"{path}: took longer than {self._seconds:g} s to read; the file is damaged"
            ) from None
        except MemoryError:
            raise VideoError(
                f"{path}: took more than {_MEMORY_BYTES >> 30} GiB to read; the file is damaged"
            ) from None
        except ProcessExpired as error:
            raise VideoError(
                f"{path}: crashed the program that read it (exit code {error.exitcode}); the file "
                "is damaged"
            ) from None
        return result


def _limit_memory(size: int) -> None:
    """Limit the address space of this process and of the processes that it starts."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
