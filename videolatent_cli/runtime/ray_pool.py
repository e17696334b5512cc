"""Work on the processes of a Ray cluster: `--engine ray`."""

from __future__ import annotations

import logging
import os
import socket
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from videolatent_cli.errors import (
    ResourceError,
    SetupError,
    UsageError,
    VideoLatentError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_AHEAD = 2
"""Items a worker has, so that it need not wait for the next."""
_RETRIES = 3


class RayPool:
    """Workers on a Ray cluster, each of which makes one object and calls its methods.

    The cluster is that of `RAY_ADDRESS`, or one that was started on this machine, else one is
    started for the while. What a worker returns is kept by the caller alone, so that a worker that
    is killed loses and doubles nothing: it is started again, and its item is given to it again.
    """

    def __init__(self, count: int, make: Callable[..., Any], *args: object) -> None:
        """Name the work; nothing runs yet.

        Args:
            count: Workers; each takes a CPU, and a GPU where the cluster has as many.
            make: Returns the object; called once in each worker.
            *args: Its arguments.
        """
        self.count = count
        self._make = make
        self._args = args
        self._workers: list[Any] = []

    def __enter__(self) -> Self:
        try:
            import ray
            from ray.util import ActorPool
        except ImportError:
            raise SetupError(
                "--engine ray: ray is missing; pip install 'videolatent-cli[ray]'"
            ) from None
        self._ray: Any = ray
        self._connected_here = not ray.is_initialized()
        if self._connected_here:
            _check_address(os.environ.get("RAY_ADDRESS", ""))
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of it
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        resources = self._ray.cluster_resources()
        if self.count > resources.get("CPU", 0):
            self.__exit__()
            raise UsageError(
                f"--jobs: must be at most the {resources.get('CPU', 0):g} CPUs of the Ray cluster, "
                f"got {self.count}"
            )
        worker = ray.remote(
            num_cpus=1,
            num_gpus=1 if resources.get("GPU", 0) >= self.count else 0,
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
        )(_Worker)
        work = (str(Path.cwd()), self._make, self._args)
        self._workers = [worker.remote(*work) for _ in range(self.count)]
        self._pool: Any = ActorPool(self._workers)
        return self

    def __exit__(self, *error: object) -> None:
        if self._connected_here:
            self._ray.shutdown()
            return
        for worker in self._workers:
            self._ray.kill(worker)

    def map(self, method: str, items: Iterable[Any]) -> Iterator[Any]:
        """Yield what a method makes of each item, in order; a few are handed out ahead.

        Raises:
            ResourceError: Where an item has lost several workers.
        """
        waiting = iter(items)

        def submit(some: int) -> None:
            for item in islice(waiting, some):
                self._pool.submit(lambda worker, value: worker.call.remote(method, value), item)

        submit(_AHEAD * self.count)
        while self._pool.has_next():
            yield self._next()
            submit(1)

    def _next(self) -> Any:  # noqa: ANN401 - what the method returns
        """Return the next result."""
        try:
            return self._pool.get_next()
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, VideoLatentError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            raise ResourceError(
                f"ray: lost its workers {_RETRIES + 1} times, got {type(error).__name__}; look "
                "into the logs of Ray, give workers more memory, and run the same command again"
            ) from None


def _check_address(address: str) -> None:
    """Raise at once where nobody answers; Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=10).close()
    except OSError as error:
        raise SetupError(
            f"RAY_ADDRESS: nobody answers, got '{address}' ({error}); name the head of a cluster, "
            "or unset it to start one here"
        ) from None


class _Worker:
    """What runs in a process of the cluster."""

    def __init__(self, folder: str, make: Callable[..., Any], args: tuple[object, ...]) -> None:
        if Path(folder).is_dir():
            os.chdir(folder)
        self._make = make
        self._args = args
        self._object: Any = None

    def call(self, method: str, item: object) -> Any:  # noqa: ANN401 - what the method returns
        """Call a method; the object is made with the first call, so that its errors are shown."""
        if self._object is None:
            self._object = self._make(*self._args)
        return getattr(self._object, method)(item)
