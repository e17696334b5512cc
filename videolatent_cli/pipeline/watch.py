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

    from videolatent_cli.pipeline.index import IndexRequest

_QUIET_MS = 1500
"""Changes are waited for this long, so that a file that is being written is read once."""


def changes(request: IndexRequest) -> Iterator[None]:
    """Yield whenever files of the request's folders have changed, until Ctrl-C.

    Raises:
        EnvironmentProblemError: Where the package for it is missing.
    """
    try:
        from watchfiles import watch
    except ImportError:
        raise EnvironmentProblemError(
            "--watch: watchfiles is missing; pip install 'videolatent-cli[watch]'"
        ) from None

    def wanted(change: Change, path: str) -> bool:
        del change
        return is_wanted(Path(path).name, request.include) or path.endswith(
            tuple(SUBTITLE_SUFFIXES)
        )

    for found in watch(*request.paths, watch_filter=wanted, debounce=_QUIET_MS):
        logger.info("{} files changed", len(found))
        yield
