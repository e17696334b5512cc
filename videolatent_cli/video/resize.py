"""How frames get their size: in which steps, by which filter, by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from videolatent_cli.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FFMPEG_FILTERS: dict[str, dict[str, Any]] = {
    "bilinear": {"flags": "bilinear+accurate_rnd+full_chroma_inp"},
    "bicubic": {"flags": "bicubic+accurate_rnd+full_chroma_inp", "param0": 0, "param1": 0.5},
    "lanczos": {"flags": "lanczos+accurate_rnd+full_chroma_inp", "param0": 3},
}


@dataclass(frozen=True)
class Resizing:
    """What a model's own processor does to reach the size of its frames."""

    filter: str = "bicubic"
    """`bilinear`, `bicubic` or `lanczos`."""
    longest_side_px: int | None = None
    """Frames get this longest side first, and then their size."""

    def sizes(
        self, source_px: tuple[int, int], final_px: tuple[int, int]
    ) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) that a frame takes in turn.

        Source: the rule of transformers' SmolVLM video processor: the shorter side is even.
        """
        if self.longest_side_px is None:
            return (final_px,)
        longest, aspect = self.longest_side_px, source_px[0] / source_px[1]
        short = int(longest / aspect if aspect >= 1 else longest * aspect)
        short = max(short + short % 2, 1)
        return (longest, short) if aspect >= 1 else (short, longest), final_px


ONCE = Resizing()
"""What most models do."""


def resized(
    pictures: Sequence[NDArray[np.uint8]], sizes_px: Sequence[tuple[int, int]], by: str
) -> list[NDArray[np.uint8]]:
    """Return pictures resized as the models' own processors do it.

    Args:
        pictures: (height, width, 3) each, all of one size.
        sizes_px: Width and height that they take in turn.
        by: Filter, as in `Resizing`.

    Raises:
        SetupError: Where this torch has no such filter.
    """
    import torch  # heavy, and only this way of resizing needs it

    data = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    for width, height in sizes_px:
        if data.shape[2:] == (height, width):
            continue
        try:
            data = torch.nn.functional.interpolate(data, (height, width), mode=by, antialias=True)
        except (NotImplementedError, ValueError):
            raise SetupError(
                f"video.resize: torch {torch.__version__} cannot resize by the filter of this "
                f"backbone, got '{by}'; pip install -U torch, or use video.resize: ffmpeg"
            ) from None
    return list(data.permute(0, 2, 3, 1).contiguous().numpy())


def scaled(stream: Any, sizes_px: Sequence[tuple[int, int]], by: str) -> Any:  # noqa: ANN401 - ffmpeg-python's nodes share no useful type
    """Return ffmpeg-python's node of a stream that ffmpeg resizes in the same steps."""
    stream = stream.filter("format", "gbrp")
    for width, height in sizes_px:
        stream = stream.filter("scale", width, height, **_FFMPEG_FILTERS[by])
    return stream
