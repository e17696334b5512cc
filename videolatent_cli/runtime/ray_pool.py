"""Pool of workers on a Ray cluster, used by `--engine ray`."""

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

_ITEMS_PER_WORKER = 2
"""Number of items submitted per worker, so that no worker waits for its next item."""
_RETRIES = 3
"""Number of times that a killed worker is restarted, and that its item is tried again."""


class RayPool:
    """Workers on a Ray cluster; each makes one object and calls its methods.

    The cluster is the one at `RAY_ADDRESS`, else one that runs on this machine, else a new one that
    ends with the pool. Only the caller stores results, so a killed worker loses and duplicates
    nothing: Ray starts it again and gives it the same item.
    """

    def __init__(self, count: int, factory: Callable[..., Any], *args: object) -> None:
        """Store the arguments; workers start when the pool is entered.

        Args:
            count: Number of workers. Each takes a CPU, and a GPU if the cluster has one per worker.
            factory: Function that returns the object; called once in each worker.
            *args: Arguments of `factory`.
        """
        self.count = count
        self._factory = factory
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
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage statistics
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        resources = self._ray.cluster_resources()
        if self.count > resources.get("CPU", 0):
            self.__exit__()
            raise UsageError(
                f"--jobs: must be at most the {resources.get('CPU', 0):g} CPUs of the Ray cluster, "
                f"got {self.count}"
            )
        # A worker that asks for a GPU waits until one is free: with too few, none may ask.
        worker = ray.remote(
            num_cpus=1,
            num_gpus=1 if resources.get("GPU", 0) >= self.count else 0,
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
        )(_Worker)
        work = (str(Path.cwd()), self._factory, self._args)
        self._workers = [worker.remote(*work) for _ in range(self.count)]
        self._pool: Any = ActorPool(self._workers)
        return self

    def __exit__(self, *error: object) -> None:
        if self._connected_here:
            self._ray.shutdown()
            return
        # The connection belongs to the caller: end only the workers of this pool.
        for worker in self._workers:
            self._ray.kill(worker)

    def map(self, method: str, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of a method for each item, in order; a few items are submitted ahead.

        Raises:
            ResourceError: If workers keep dying on an item.
        """
        waiting = iter(items)

        def submit(count: int) -> None:
            for item in islice(waiting, count):
                self._pool.submit(lambda worker, value: worker.call.remote(method, value), item)

        submit(_ITEMS_PER_WORKER * self.count)
        while self._pool.has_next():
            yield self._next()
            submit(1)

    def _next(self) -> Any:  # noqa: ANN401 - the method's result
        """Return the next result."""
        try:
            return self._pool.get_next()
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, VideoLatentError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            raise ResourceError(
                f"ray: workers died {_RETRIES + 1} times on one item, got {type(error).__name__}; "
                "read the logs of Ray, give the workers more memory, and run the same command again"
            ) from None


def _check_address(address: str) -> None:
    """Raise an error at once if nothing answers at an address; Ray itself tries for minutes.

    Raises:
        SetupError: If there is no connection.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=10).close()
    except OSError as error:
        raise SetupError(
            f"RAY_ADDRESS: nothing answers, got '{address}' ({error}); name the head of a cluster, "
            "or unset it to start a cluster on this machine"
        ) from None


class _Worker:
    """Ray actor: a process of the cluster with one object."""

    def __init__(self, folder: str, factory: Callable[..., Any], args: tuple[object, ...]) -> None:
        # Relative paths must mean the same as in the command, if this machine has the folder.
        if Path(folder).is_dir():
            os.chdir(folder)
        self._factory = factory
        self._args = args
        self._object: Any = None

    def call(self, method: str, item: object) -> Any:  # noqa: ANN401 - the method's result
        """Return the result of a method.

        The object is made in the first call: an error in `__init__` would reach the caller only as
        a dead worker.
        """
        if self._object is None:
            self._object = self._factory(*self._args)
        return getattr(self._object, method)(item)
