"""Resizing of frames: its steps and filter, by torch or by ffmpeg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from videolatent_cli.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Flags and parameters with which ffmpeg comes closest to the filters of torch.
_FFMPEG_FILTERS: dict[str, dict[str, Any]] = {
    "bilinear": {"flags": "bilinear+accurate_rnd+full_chroma_inp"},
    "bicubic": {"flags": "bicubic+accurate_rnd+full_chroma_inp", "param0": 0, "param1": 0.5},
    "lanczos": {"flags": "lanczos+accurate_rnd+full_chroma_inp", "param0": 3},
}


@dataclass(frozen=True)
class Resizing:
    """Steps and filter by which a model's own processor resizes frames."""

    filter: str = "bicubic"
    """Name of the filter: `bilinear`, `bicubic` or `lanczos`."""
    longest_side_px: int | None = None
    """Longest side to which frames are resized first, before their final size; None: one step."""

    def sizes(
        self, source_px: tuple[int, int], final_px: tuple[int, int]
    ) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) after each resizing step.

        Source: the rule of transformers' SmolVLM video processor: the shorter side is even.
        """
        if self.longest_side_px is None:
            return (final_px,)
        longest, aspect = self.longest_side_px, source_px[0] / source_px[1]
        short = int(longest / aspect if aspect >= 1 else longest * aspect)
        short = max(short + short % 2, 1)
        return (longest, short) if aspect >= 1 else (short, longest), final_px


ONCE = Resizing()
"""Resizing of most models: one step, bicubic."""


def resized(
    pictures: Sequence[NDArray[np.uint8]], sizes_px: Sequence[tuple[int, int]], filter_name: str
) -> list[NDArray[np.uint8]]:
    """Return pictures resized by torch, exactly as by the models' own processors.

    Args:
        pictures: Arrays of shape (height, width, 3), all of one size.
        sizes_px: Width and height after each step.
        filter_name: Filter, as in `Resizing`.

    Raises:
        SetupError: If the installed torch lacks the filter.
    """
    import torch  # slow to import, and needed only here

    data = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)  # frame channel height width
    for width, height in sizes_px:
        if data.shape[2:] == (height, width):
            continue
        try:
            data = torch.nn.functional.interpolate(
                data, (height, width), mode=filter_name, antialias=True
            )
        except (NotImplementedError, ValueError):
            raise SetupError(
                f"video.resize: torch {torch.__version__} lacks the filter of this "
                f"backbone, got '{filter_name}'; pip install -U torch, or use video.resize: ffmpeg"
            ) from None
    return list(data.permute(0, 2, 3, 1).contiguous().numpy())


def scaled(stream: Any, sizes_px: Sequence[tuple[int, int]], filter_name: str) -> Any:  # noqa: ANN401 - ffmpeg-python's nodes share no useful type
    """Return an ffmpeg-python stream that ffmpeg resizes in the same steps."""
    stream = stream.filter("format", "gbrp")  # resize RGB as torch does, not subsampled colours
    for width, height in sizes_px:
        stream = stream.filter("scale", width, height, **_FFMPEG_FILTERS[filter_name])
    return stream
