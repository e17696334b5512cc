"""The ffmpeg program: where it is, running it with a time limit, reading its log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import ffmpeg
import imageio_ffmpeg

from videolatent_cli.errors import SetupError, VideoError

if TYPE_CHECKING:
    from pathlib import Path

INPUT = "input"
"""Stands for the file while a command is built: ffmpeg-python takes only names that are UTF-8."""


@cache
def ffmpeg_binary() -> str:
    """Return the ffmpeg program: `VL_FFMPEG`, else imageio-ffmpeg's, else the one on PATH.

    Raises:
        SetupError: Where there is none.
    """
    named = os.environ.get("VL_FFMPEG")
    if named:
        found = shutil.which(named)
        if found is None:
            raise SetupError(f"VL_FFMPEG: no program there, got '{named}'; unset it")
        return found
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        found = shutil.which("ffmpeg")
        if found is None:
            raise SetupError(
                "ffmpeg: not found; pip install imageio-ffmpeg, or set VL_FFMPEG"
            ) from None
        return found


def execute(node: Any, path: Path, timeout_seconds: float) -> tuple[bytes, str]:  # noqa: ANN401
    """Run a command that ffmpeg-python built; return its output and its log.

    Args:
        node: The output node; its input is called `INPUT`.
        path: The video.
        timeout_seconds: Longest time it may take.

    Raises:
        VideoError: Where it takes longer.
    """
    node = node.global_args("-nostdin", "-hide_banner", "-loglevel", "info", "-nostats")
    command = ffmpeg.compile(node, cmd=ffmpeg_binary())
    command[command.index(INPUT)] = f"file:{path}"
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired:
        raise VideoError(
            f"{path}: decoding took longer than {timeout_seconds:g} s; raise video.timeout_seconds"
        ) from None
    return done.stdout, done.stderr.decode("utf-8", "replace")


_TIME_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
_PTS = re.compile(r"\] n: *\d+ pts: *(-?\d+) ")


def reported_times(log: str) -> list[Fraction]:
    """Return the times that showinfo printed, exact."""
    base = _TIME_BASE.search(log)
    if base is None:
        return []
    unit = Fraction(int(base[1]), int(base[2]))
    return [int(match[1]) * unit for match in _PTS.finditer(log)]


def last_words(log: str) -> str:
    """Return ffmpeg's last line of complaint, in brackets."""
    lines = [line.strip() for line in log.splitlines() if "rror" in line or "nvalid" in line]
    return f" ({lines[-1][:160]})" if lines else ""
