"""Logging: loguru to stderr, and into a file of the run."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHORT = "<level>{level: <7}</level> {message}"
_LONG = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {name}:{line} {message}"


def configure_logging(
    verbosity: int = 0, file: Path | None = None, color: bool | None = None
) -> None:
    """Send the log to stderr, and to a file where one is named.

    Args:
        verbosity: -1 warnings only, 0 normal, 1 and more debug.
        file: Gets every line, debug included.
        color: None: only on a terminal.
    """
    level = {-1: "WARNING", 0: "INFO"}.get(verbosity, "DEBUG")
    # bitsandbytes warns, when it is imported, of a kernel that no model here uses.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    logger.remove()
    logger.add(_to_stderr, level=level, format=_SHORT, colorize=color)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        logger.add(file, level="DEBUG", format=_LONG)


def _to_stderr(line: str) -> None:
    """Write a line; the stream is looked up each time, so that a replaced one is honoured."""
    sys.stderr.write(line)


@contextmanager
def log_file(file: Path) -> Iterator[None]:
    """Also write every line to a file, debug included."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sink = logger.add(file, level="DEBUG", format=_LONG)
    try:
        yield
    finally:
        logger.remove(sink)
