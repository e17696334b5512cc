"""Thumbnails of moments, for HTML pages and libraries."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from videolatent_cli.errors import VideoError
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_WIDTH_PX = 240
_SPEC = SamplingSpec(
    fps=1.0,
    min_frames=1,
    max_frames=1,
    min_pixels=64 * 64,
    max_pixels=_WIDTH_PX * _WIDTH_PX,
    resize="ffmpeg",
    size_multiple_px=2,
    frames_per_group=1,
)
_INSTANT_SECONDS = 1e-4
"""Shortest part that is sampled: a moment may start and end at the same time."""


def moment_thumbnail(path: Path, start_seconds: float, end_seconds: float) -> bytes:
    """Return the frame in the middle of a moment as JPEG bytes.

    Raises:
        VideoError: If the frame cannot be decoded.
    """
    end = max(end_seconds, start_seconds + _INSTANT_SECONDS)
    return jpeg(decode_frames(path, _SPEC, (start_seconds, end)).data[0])


def picture_of(path: Path) -> bytes:
    """Return the bytes of a picture file, or the frame in the middle of a video as JPEG bytes.

    Raises:
        VideoError: If the file is neither a picture nor a video.
    """
    if not path.is_file():
        raise VideoError(f"{path}: file not found")
    try:
        with Image.open(path):
            return path.read_bytes()
    except UnidentifiedImageError:
        return moment_thumbnail(path, 0.0, read_info(path).duration_seconds)


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """Return an RGB frame as JPEG bytes, at most 240 pixels wide and high."""
    picture = Image.fromarray(frame)
    picture.thumbnail((_WIDTH_PX, _WIDTH_PX))
    data = io.BytesIO()
    picture.save(data, format="JPEG", quality=80)
    return data.getvalue()
