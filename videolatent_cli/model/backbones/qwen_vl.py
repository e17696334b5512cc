"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

These families encode groups of frames together and use m-RoPE: position ids in time, height and
width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import override

from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.features import Layout, VideoFeatures
from videolatent_cli.model.backbones.pixels import Geometry, patchify

if TYPE_CHECKING:
    from videolatent_cli.video.frames import FrameBatch


class Qwen2VL(Backbone):
    """Qwen2-VL and Qwen2.5-VL; the embedded model is a small Qwen2.5-VL."""

    placeholder = "<|video_pad|>"

    @override
    def make_geometry(self) -> Geometry:
        vision = self.config.vision_config
        return Geometry(vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)

    @override
    @property
    def visual_token_id(self) -> int:
        return int(self.config.video_token_id)

    @override
    def encode_videos(self, batches: list[FrameBatch]) -> list[VideoFeatures]:
        layouts = [self.layout_of(frames) for frames in batches]
        pixels = torch.cat([patchify(frames, self.geometry, self.colors) for frames in batches])
        grids = torch.tensor([layout.grid for layout in layouts], device=self.device)
        out = self.core.model.get_video_features(
            pixels.to(self.device, self.dtype), grids, return_dict=True
        )
        levels = getattr(out, "deepstack_features", None) or []  # Qwen3-VL: [level][video]
        return [
            VideoFeatures(
                **vars(layout),
                embeds=embeds,
                deep=torch.stack([level[index] for level in levels]) if levels else None,
            )
            for index, (layout, embeds) in enumerate(zip(layouts, out.pooler_output, strict=True))
        ]

    @override
    def video_text(self, layout: Layout) -> str:
        return self.placeholder * self.num_visual_tokens(layout.grid)

    @override
    def prompt_positions(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        layouts: list[VideoFeatures],
    ) -> tuple[Int[Tensor, "3 video seq"], Int[Tensor, " video"]]:
        """Return temporal, height and width position ids, and the next position id of each prompt.

        Choice: the question continues after the largest position id of the video, as these models
        were trained (transformers 4). In transformers 5.23, the prefill continues after the largest
        one in space, which in a long video is smaller than the largest one in time. The end marker
        of the video keeps the position id of transformers 5, since the embedded model was trained
        with it.
        """
        positions, deltas = self.core.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == self.visual_token_id).int() * 2,  # 0 text, 2 video
            video_grid_thw=torch.tensor([layout.grid for layout in layouts], device=ids.device),
            second_per_grid_ts=[self._seconds_per_grid(layout) for layout in layouts],
            attention_mask=mask.long(),
        )
        return positions, (mask.sum(1) + deltas.squeeze(-1)).long()

    def _seconds_per_grid(self, layout: Layout) -> float:
        """Return the seconds from one frame group to the next, for the position ids of Qwen2.5-VL.

        Choice: the mean is a little too small if the last frame is shown earlier before its moment
        than the first. transformers rounds position ids down, so that 0.999 s would count like no
        time. The tolerance adds a quarter of a position id over the whole video.
        """
        per_second = getattr(self.config.vision_config, "tokens_per_second", 1)
        steps = max(layout.grid[0] - 1, 1)
        return layout.seconds_per_group + 0.25 / (per_second * steps)

    @override
    def text_positions(self, flat: Int[Tensor, "batch seq"]) -> Int[Tensor, "3 batch seq"]:
        return flat.expand(3, -1, -1)


class Qwen3VL(Qwen2VL):
    """Qwen3-VL, dense or mixture of experts: the prompt gives the time before each frame group."""

    @override
    def video_text(self, layout: Layout) -> str:
        pads = self.placeholder * self.num_visual_tokens((1, *layout.grid[1:]))
        marked = f"<|vision_start|>{pads}<|vision_end|>"
        return "".join(f"<{s:.1f} seconds>{marked}" for s in layout.group_seconds.tolist())

    @override
    def deepstack_inputs(
        self, visual: Bool[Tensor, "video seq"], features: list[VideoFeatures]
    ) -> dict[str, Any]:
        levels = [video.deep for video in features if video.deep is not None]
        merged = torch.cat(levels, 1).to(self.dtype)  # (level, all visual tokens, dim)
        return {"visual_pos_masks": visual, "deepstack_visual_embeds": list(merged)}

    @override
    def slice_deepstack(self, deepstack: dict[str, Any], part: slice) -> dict[str, Any]:
        visual = deepstack["visual_pos_masks"]  # (video, seq)
        inside = torch.zeros_like(visual)
        inside[:, part] = True
        # inside[visual]: (all visual tokens,), True for those in the part.
        levels = [level[inside[visual]] for level in deepstack["deepstack_visual_embeds"]]
        return {"visual_pos_masks": visual[:, part], "deepstack_visual_embeds": levels}
