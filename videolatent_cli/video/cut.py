"""Cutting short clips out of videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ffmpeg

from videolatent_cli.errors import VideoError
from videolatent_cli.video.ffmpeg import INPUT, execute, last_error

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT_SECONDS = 1.0
"""Length of video that a clip shows before and after its moment (s)."""


def cut_clip(
    path: Path, start_seconds: float, end_seconds: float, out: Path, timeout_seconds: float = 300.0
) -> None:
    """Write a part of a video as H.264 with its sound, and one second before and after it.

    Raises:
        VideoError: If ffmpeg cannot cut it.
    """
    begin = max(0.0, start_seconds - CONTEXT_SECONDS)
    length = end_seconds + CONTEXT_SECONDS - begin
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.stem}.part{out.suffix}")
    node = ffmpeg.output(
        ffmpeg.input(INPUT, ss=f"{begin:.3f}", t=f"{length:.3f}"),
        f"file:{part}",
        sn=None,  # no subtitle streams: MP4 cannot hold every kind
        # Players need 4:2:0 colours, which need even sides.
        pix_fmt="yuv420p",
        vf="pad=ceil(iw/2)*2:ceil(ih/2)*2",
    ).overwrite_output()
    _, log = execute(node, path, timeout_seconds)
    if not part.exists() or not part.stat().st_size:
        raise VideoError(f"{path}: no clip can be cut at {start_seconds:.2f} s{last_error(log)}")
    part.replace(out)
