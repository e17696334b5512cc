"""The ffmpeg program: finding it, running it with a time limit, reading its log."""

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
"""Placeholder for the file name while a command is built.

ffmpeg-python accepts only UTF-8 names, so `execute` puts the real name in afterwards.
"""


@cache
def ffmpeg_binary() -> str:
    """Return the path of ffmpeg: `VL_FFMPEG`, else that of imageio-ffmpeg, else one on PATH.

    Raises:
        SetupError: If no ffmpeg is found.
    """
    named = os.environ.get("VL_FFMPEG")
    if named:
        program = shutil.which(named)
        if program is None:
            raise SetupError(f"VL_FFMPEG: must name a program, got '{named}'; change or unset it")
        return program
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        program = shutil.which("ffmpeg")
        if program is None:
            raise SetupError(
                "ffmpeg: not found; pip install imageio-ffmpeg, or set VL_FFMPEG"
            ) from None
        return program


def execute(node: Any, path: Path, timeout_seconds: float) -> tuple[bytes, str]:  # noqa: ANN401
    """Run a command that ffmpeg-python has built; return its output and its log.

    Args:
        node: Output node of ffmpeg-python; its input file is named `INPUT`.
        path: Video file that replaces `INPUT`.
        timeout_seconds: Longest time that ffmpeg may take (s).

    Raises:
        VideoError: If ffmpeg takes longer.
        SetupError: If ffmpeg lacks a filter.
    """
    node = node.global_args("-nostdin", "-hide_banner", "-loglevel", "info", "-nostats")
    command = ffmpeg.compile(node, cmd=ffmpeg_binary())
    # `file:` keeps a name that starts with `-` or contains a colon from being read otherwise.
    command[command.index(INPUT)] = f"file:{path}"
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired:
        raise VideoError(
            f"{path}: decoding took longer than {timeout_seconds:g} s; raise video.timeout_seconds"
        ) from None
    log = done.stderr.decode("utf-8", "replace")
    if missing := _MISSING_FILTER.search(log):
        raise SetupError(
            f"{ffmpeg_binary()}: lacks the filter '{missing[1]}', which {path.name} needs; unset "
            "VL_FFMPEG, or name an ffmpeg that has it"
        )
    return done.stdout, log


_MISSING_FILTER = re.compile(r"No such filter: '(\w+)'")
_TIME_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
_PTS = re.compile(r"\] n: *\d+ pts: *(-?\d+) ")


def reported_times(log: str) -> list[Fraction]:
    """Return the frame times that the filter `showinfo` printed, as exact fractions (s)."""
    base = _TIME_BASE.search(log)
    if base is None:
        return []
    unit = Fraction(int(base[1]), int(base[2]))
    return [int(match[1]) * unit for match in _PTS.finditer(log)]


def last_error(log: str) -> str:
    """Return the last error line of an ffmpeg log, in brackets; empty if there is none."""
    lines = [line.strip() for line in log.splitlines() if "rror" in line or "nvalid" in line]
    return f" ({lines[-1][:160]})" if lines else ""
