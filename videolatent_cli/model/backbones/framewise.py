"""InternVL, LLaVA-OneVision and SmolVLM.

These families encode each frame alone, take frames of one fixed size, and use plain position ids.
"""

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

_SMOLVLM_DEFAULT_SIDE_PX = 4 * 364
"""Default of the longest frame side, from transformers (px)."""
_SMOLVLM_MAX_SIDE_PX = 4096
"""Upper limit of the longest frame side, from transformers (px)."""


class Framewise(Backbone):
    """Base class of the families that encode each frame alone."""

    @property
    @abstractmethod
    def merge(self) -> int:
        """Number of patches per token along each side."""

    @abstractmethod
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        """Return the features of one video, frame by frame."""

    @override
    def make_geometry(self) -> Geometry:
        vision = self.config.vision_config
        side = _one_side(vision.image_size)
        return Geometry(_one_side(vision.patch_size), self.merge, 1, (side, side))

    @override
    @property
    def visual_token_id(self) -> int:
        return int(self.config.image_token_id)

    @override
    def encode_videos(self, batches: list[FrameBatch]) -> list[VideoFeatures]:
        features = []
        for frames in batches:
            pixels = normalised(frames, self.colors)
            embeds = self.encode(pixels.to(self.device, self.dtype))
            features.append(VideoFeatures(**vars(self.layout_of(frames)), embeds=embeds))
        return features

    def placeholders(self, grid: tuple[int, int, int]) -> str:
        """Return the placeholder tokens of a grid as text.

        Raises:
            SetupError: If the tokenizer has no such token.
        """
        token: str | None = self.tokenizer.convert_ids_to_tokens(self.visual_token_id)
        if token is None:
            raise SetupError(
                f"backbone.model: the tokenizer of '{self.name}' must have the visual token of the "
                f"configuration, got none of id {self.visual_token_id}; take both from one release"
            )
        return token * self.num_visual_tokens(grid)

    def frame_placeholders(self, layout: Layout) -> str:
        """Return the placeholder tokens of one frame as text."""
        return self.placeholders((1, *layout.grid[1:]))

    @override
    def prompt_positions(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        layouts: list[VideoFeatures],
    ) -> tuple[Int[Tensor, "video seq"], Int[Tensor, " video"]]:
        # One position id per token; left padding takes none and would get -1.
        return (mask.long().cumsum(1) - 1).clamp(min=0), mask.sum(1)

    @override
    def text_positions(self, flat: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
        return flat


def _one_side(side: int | list[int]) -> int:
    """Return the side of a square; some configurations give it as [height, width]."""
    return side if isinstance(side, int) else side[0]


class InternVL(Framewise):
    """InternVL3, in transformers' own format (`-hf`)."""

    placeholder = "<video>"

    @override
    @property
    def merge(self) -> int:
        return round(1 / float(self.config.downsample_ratio))

    @override
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        out = self.core.model.get_image_features(pixels, return_dict=True)
        embeds: Tensor = out.pooler_output
        return embeds.flatten(0, 1)  # (frame, token per frame, dim) -> (token, dim)

    @override
    def video_text(self, layout: Layout) -> str:
        start, end = (
            self.tokenizer.convert_ids_to_tokens(getattr(self.tokenizer, f"{side}_image_token_id"))
            for side in ("start", "end")
        )
        image = f"{start}{self.frame_placeholders(layout)}{end}"
        return "\n".join(f"Frame{index + 1}: {image}" for index in range(layout.grid[0]))


class LlavaOnevision(Framewise):
    """LLaVA-OneVision: tokens of a frame are pooled 2 x 2, and one more token ends the video."""

    placeholder = "<video>"

    @override
    @property
    def merge(self) -> int:
        return 1  # the grid already counts pooled tokens, not patches

    @override
    @property
    def visual_token_id(self) -> int:
        return int(self.config.video_token_id)

    @override
    def grid(self, num_frames: int, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Return the number of frames, and rows and columns of pooled tokens per frame."""
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
        return embeds[0]  # (1, token, dim) -> (token, dim)

    @override
    def num_visual_tokens(self, grid: tuple[int, int, int]) -> int:
        return super().num_visual_tokens(grid) + 1

    @override
    def video_text(self, layout: Layout) -> str:
        return self.placeholders(layout.grid)


class SmolVLM(Framewise):
    """SmolVLM2: the prompt gives the time before each frame, in minutes and seconds."""

    decoder = "text_model"
    placeholder = "<video>"
    after_video = "\n\n"

    @override
    @classmethod
    def video_template(cls) -> str | None:
        """Return the template of transformers' processor: that of the releases drops videos."""
        from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

        return DEFAULT_CHAT_TEMPLATE

    @override
    @property
    def merge(self) -> int:
        return int(self.config.scale_factor)

    @override
    def make_resizing(self, settings: dict[str, Any]) -> Resizing:
        """Return a resizing with a fixed longest side in its first step.

        Where the setting is looked up, its default and its upper limit are those of transformers.
        """
        sampled = settings.get("video_sampling", {}).get("video_size", {})
        size = settings.get("size", sampled)
        configured = int(size.get("longest_edge", _SMOLVLM_DEFAULT_SIDE_PX))
        longest = min(configured, _SMOLVLM_MAX_SIDE_PX)
        return Resizing(resampling(settings, "lanczos"), longest)

    @override
    def encode(self, pixels: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "token dim"]:
        out = self.core.model.get_image_features(pixels[None], return_dict=True)
        # A tensor per frame in transformers 5.20, one tensor per video in 5.23.
        return torch.cat(list(out.pooler_output))

    @override
    def video_text(self, layout: Layout) -> str:
        border = "<fake_token_around_image>"
        image = f"{border}<global-img>{self.frame_placeholders(layout)}{border}"
        times = [int(second) for second in layout.group_seconds.tolist()]
        # Like transformers, which takes the last frame's time where the duration is unknown.
        duration = layout.duration_seconds
        whole = times[-1] if duration is None else int(duration)
        return (
            f"You are provided the following series of {_in_words(len(times))} frames from a "
            f"{timedelta(seconds=whole)} [H:MM:SS] video.\n"
            + "".join(f"\nFrame from {t // 60:02d}:{t % 60:02d}:{image}" for t in times)
        )


def _in_words(number: int) -> str:
    """Return a number in English words.

    Raises:
        SetupError: If the package num2words is not installed.
    """
    try:
        from num2words import num2words  # type: ignore[import-untyped] # not annotated
    except ImportError:
        raise SetupError(
            "backbone.model: SmolVLM's prompts contain numbers in words, but 'num2words' is not "
            "installed; pip install 'videolatent-cli[smolvlm]'"
        ) from None
    words: str = num2words(number)
    return words
