"""`vl index --watch`: the library follows its folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import EnvironmentProblemError
from videolatent_cli.video.walk import SUBTITLE_SUFFIXES, is_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchfiles import Change

    from videolatent_cli.pipeline.library.index import IndexRequest

_QUIET_MS = 1500
"""Changes are waited for this long, so that a file that is being written is read once."""


def changes(request: IndexRequest) -> Iterator[None]:
    """Yield once soon, for what changed before, then whenever videos have changed, until Ctrl-C.

    Raises:
        EnvironmentProblemError: At once, where the package for it is missing.
    """
    try:
        from watchfiles import watch
    except ImportError:
        raise EnvironmentProblemError(
            "--watch: watchfiles is missing; pip install 'videolatent-cli[watch]'"
        ) from None

    def wanted(change: Change, name: str) -> bool:
        del change
        path = Path(name)
        return is_wanted(path.name, request.include) or path.suffix.lower() in SUBTITLE_SUFFIXES

    def follow() -> Iterator[None]:
        first = True
        watching = watch(
            *request.paths, watch_filter=wanted, debounce=_QUIET_MS, yield_on_timeout=True
        )
        for found in watching:
            if found or first:
                logger.info("{} files changed", len(found))
                yield
                first = False

    return follow()
