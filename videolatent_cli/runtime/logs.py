"""Logging with loguru: to stderr, and to a file of the run."""

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
    """Send the log to stderr, and optionally to a file too.

    Args:
        verbosity: -1: warnings only; 0: normal; 1 or more: debug.
        file: File that receives every line, debug lines included; None: no file.
        color: Whether to use colours on stderr; None: only on a terminal.
    """
    level = {-1: "WARNING", 0: "INFO"}.get(verbosity, "DEBUG")
    # On import, bitsandbytes warns about a kernel that no model here uses.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    logger.remove()
    logger.add(_to_stderr, level=level, format=_SHORT, colorize=color)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        logger.add(file, level="DEBUG", format=_LONG)


def _to_stderr(line: str) -> None:
    """Write a line to the current `sys.stderr`, which tests and progress bars may replace."""
    sys.stderr.write(line)


@contextmanager
def log_file(file: Path) -> Iterator[None]:
    """Write every line, debug lines included, to a file too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sink = logger.add(file, level="DEBUG", format=_LONG)
    try:
        yield
    finally:
        logger.remove(sink)
