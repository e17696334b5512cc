"""Contact sheets: pictures of the frames that a model saw, with its evidence marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from videolatent_cli.video.frames import FrameBatch

_COLUMNS = 4
_WIDTH_PX = 240
_GAP_PX = 8
_CAPTION_PX = 22
_BAR_PX = 6
_BACKGROUND, _TEXT = (255, 255, 255), (30, 30, 30)
_NEUTRAL, _HIGHLIGHT = (190, 190, 190), (230, 120, 0)


def contact_sheet(
    frames: FrameBatch,
    title: str,
    weights: Sequence[float] = (),
    marked: Sequence[int] = (),
) -> Image.Image:
    """Return a picture of all frames, with times, a bar per weight, and a border per marked frame.

    Args:
        frames: Frames in the order of the sheet.
        title: One or more lines above the frames.
        weights: One weight per frame, in [0, 1]; bars are relative to the largest. Empty: no bars.
        marked: Indices of the frames to mark.
    """
    height = round(_WIDTH_PX * frames.data.shape[1] / frames.data.shape[2])
    columns = min(_COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    cell_w, cell_h = _WIDTH_PX + _GAP_PX, height + _CAPTION_PX + _BAR_PX + _GAP_PX
    lines = title.splitlines()
    top = _GAP_PX + _CAPTION_PX * len(lines)
    size = (columns * cell_w + _GAP_PX, top + rows * cell_h + _GAP_PX)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for index, line in enumerate(lines):
        draw.text((_GAP_PX, _GAP_PX // 2 + index * _CAPTION_PX), line, _TEXT, font)
    largest = max(weights, default=0.0) or 1.0
    for index, (picture, seconds) in enumerate(zip(frames.data, frames.pts_seconds, strict=True)):
        x = _GAP_PX + index % columns * cell_w
        y = top + index // columns * cell_h
        # Enlarge without smoothing, so that the pixels that the model saw stay visible.
        smooth = picture.shape[1] > _WIDTH_PX
        method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
        sheet.paste(Image.fromarray(picture).resize((_WIDTH_PX, height), method), (x, y))
        color = _HIGHLIGHT if index in marked else _NEUTRAL
        box = (x - 2, y - 2, x + _WIDTH_PX + 1, y + height + 1)
        draw.rectangle(box, outline=color, width=4 if index in marked else 1)
        if weights:
            bar = round(_WIDTH_PX * weights[index] / largest)
            draw.rectangle((x, y + height + 4, x + bar, y + height + 2 + _BAR_PX), fill=color)
        draw.text((x, y + height + _BAR_PX + 4), f"{seconds:.2f} s", _TEXT, font)
    return sheet


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG; the file gets its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    sheet.save(part, format="PNG")
    part.replace(path)
