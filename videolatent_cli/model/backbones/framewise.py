"""InternVL, LLaVA-OneVision, SmolVLM: frames of one size, each encoded alone, plain positions."""

from __future__ import annotations

import math
from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.features import Layout, VideoFeatures
from videolatent_cli.model.backbones.pixels import Geometry, normalised, resampling
from videolatent_cli.video.resize import Resizing

if TYPE_CHECKING:
    from videolatent_cli.video.frames import FrameBatch

_SMOLVLM_LONGEST_SIDE_PX, _SMOLVLM_LARGEST_SIDE_PX = 4 * 364, 4096


class Framewise(Backbone):
    """What these families share."""

    @property
    @abstractmethod
    def merge(self) -> int:
        """Patches merged to one token along each side."""

    @abstractmethod
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        """Return the features of one video."""

    @override
    def make_geometry(self) -> Geometry:
        vision = self.config.vision_config
        side = _one(vision.image_size)
        return Geometry(_one(vision.patch_size), self.merge, 1, (side, side))

    @override
    @property
    def visual_token_id(self) -> int:
        return int(self.config.image_token_id)

    @override
    def encode_videos(self, batches: list[FrameBatch]) -> list[VideoFeatures]:
        found = []
        for frames in batches:
            pixels = normalised(frames, self.colors)
            embeds = self.encode(pixels.to(self.device, self.dtype))
            found.append(VideoFeatures(**vars(self.layout_of(frames)), embeds=embeds))
        return found

    def marks_per_frame(self, layout: Layout) -> str:
        """Return the marks of one frame's visual tokens."""
        token: str = self.tokenizer.convert_ids_to_tokens(self.visual_token_id)
        return token * self.num_visual_tokens((1, *layout.grid[1:]))

    @override
    def prompt_positions(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        layouts: list[VideoFeatures],
    ) -> tuple[Int[Tensor, "video seq"], Int[Tensor, " video"]]:
        return (mask.long().cumsum(1) - 1).clamp(min=0), mask.sum(1)

    @override
    def text_positions(self, flat: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
        return flat


def _one(side: int | list[int]) -> int:
    """Return a side that some configurations give for height and width."""
    return side if isinstance(side, int) else side[0]


class InternVL(Framewise):
    """InternVL3 in transformers' own format (`-hf`)."""

    placeholder = "<video>"

    @override
    @property
    def merge(self) -> int:
        return round(1 / float(self.config.downsample_ratio))

    @override
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        out = self.core.model.get_image_features(pixels, return_dict=True)
        embeds: Tensor = out.pooler_output
        return embeds.flatten(0, 1)

    @override
    def video_text(self, layout: Layout) -> str:
        start, end = (
            self.tokenizer.convert_ids_to_tokens(getattr(self.tokenizer, f"{side}_image_token_id"))
            for side in ("start", "end")
        )
        one = f"{start}{self.marks_per_frame(layout)}{end}"
        return "\n".join(f"Frame{index + 1}: {one}" for index in range(layout.grid[0]))


class LlavaOnevision(Framewise):
    """LLaVA-OneVision: the tokens of a frame are pooled 2 x 2, one more token ends the video."""

    placeholder = "<video>"

    @override
    @property
    def merge(self) -> int:
        return 1

    @override
    @property
    def visual_token_id(self) -> int:
        return int(self.config.video_token_id)

    @override
    def grid(self, num_frames: int, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Return frames, token rows, token columns."""
        patch = self.geometry.patch_px
        return (
            num_frames,
            math.ceil(height_px // patch / 2),
            math.ceil(width_px // patch / 2),
        )

    @override
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        embeds: Tensor = self.core.model.get_video_features(
            pixels[None], return_dict=True
        ).pooler_output
        return embeds[0]

    @override
    def num_visual_tokens(self, grid: tuple[int, int, int]) -> int:
        return super().num_visual_tokens(grid) + 1

    @override
    def video_text(self, layout: Layout) -> str:
        token: str = self.tokenizer.convert_ids_to_tokens(self.visual_token_id)
        return token * self.num_visual_tokens(layout.grid)


class SmolVLM(Framewise):
    """SmolVLM2: each frame stands after its time in minutes and seconds."""

    decoder = "text_model"
    placeholder = "<video>"

    @override
    @property
    def merge(self) -> int:
        return int(self.config.scale_factor)

    @override
    def make_resizing(self, settings: dict[str, Any]) -> Resizing:
        """Frames get a longest side first; places and default are those of transformers."""
        sampled = settings.get("video_sampling", {}).get("video_size", {})
        size = settings.get("size", sampled)
        asked = int(size.get("longest_edge", _SMOLVLM_LONGEST_SIDE_PX))
        longest = min(asked, _SMOLVLM_LARGEST_SIDE_PX)
        return Resizing(resampling(settings, "lanczos"), longest)

    @override
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        out = self.core.model.get_image_features(pixels[None], return_dict=True)
        # One tensor a frame in transformers 5.20, one a video in 5.23.
        return torch.cat(list(out.pooler_output))

    @override
    def video_text(self, layout: Layout) -> str:
        fake = "<fake_token_around_image>"
        one = f"{fake}<global-img>{self.marks_per_frame(layout)}{fake}"
        times = [int(second) for second in layout.group_seconds.tolist()]
        return (
            f"You are provided the following series of {_in_words(len(times))} frames from a "
            f"{timedelta(seconds=times[-1])} [H:MM:SS] video.\n"
            + "".join(f"\nFrame from {t // 60:02d}:{t % 60:02d}:{one}" for t in times)
            + "\n\n"
        )


def _in_words(number: int) -> str:
    """Return a number in English words.

    Raises:
        SetupError: Without the package that writes them.
    """
    try:
        from num2words import num2words  # type: ignore[import-untyped] # without annotations
    except ImportError:
        raise SetupError(
            "backbone.model: prompts of SmolVLM hold numbers in words, but 'num2words' is not "
            "installed; pip install 'videolatent-cli[smolvlm]'"
        ) from None
    words: str = num2words(number)
    return words
