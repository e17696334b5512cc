"""Families that see single frames: prompts as transformers' processors write them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor

from tests.families import frames_for, load_family, write_family
from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.video.frames import FrameBatch


def their_text(backbone: Backbone, frames: FrameBatch) -> str:
    """What transformers' processor writes for a video."""
    layout = backbone.layout_of(frames)
    side = int(backbone.num_visual_tokens((1, *layout.grid[1:])))
    marks = {"start_image_token": "<img>", "end_image_token": "</img>"}
    metadata = SimpleNamespace(
        fps=2.0,
        frames_indices=list(range(122, 122 + len(frames))),
        timestamps=frames.pts_seconds.tolist(),
        duration=None,
    )
    family = backbone.config.model_type
    if family == "internvl":
        them = SimpleNamespace(**marks, image_token="<IMG_CONTEXT>", image_seq_length=side)
        inputs = {"pixel_values_videos": [frames.data]}
        return InternVLProcessor.replace_video_token(them, inputs, 0)
    if family == "llava_onevision":
        them = SimpleNamespace(video_token="<video>", num_image_tokens=49)
        inputs = {"pixel_values_videos": [frames.data]}
        return LlavaOnevisionProcessor.replace_video_token(them, inputs, 0)
    if family == "smolvlm":
        them = SimpleNamespace(
            image_seq_len=side,
            image_token="<image>",
            fake_image_token="<fake_token_around_image>",
            global_image_token="<global-img>",
        )
        inputs = {"pixel_values": frames.data[None], "video_metadata": [metadata]}
        return SmolVLMProcessor.replace_video_token(them, inputs, 0)
    them = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        video_token="<|video_pad|>",
    )
    them._calculate_timestamps = lambda *args: Qwen3VLProcessor._calculate_timestamps(them, *args)
    inputs = {"video_grid_thw": torch.tensor([layout.grid]), "video_metadata": [metadata]}
    return Qwen3VLProcessor.replace_video_token(them, inputs, 0)


def test_video_text_is_that_of_transformers(family_folder: Path) -> None:
    backbone = load_family(family_folder)
    frames = frames_for(backbone)
    ours = backbone.video_text(backbone.layout_of(frames))
    if backbone.config.model_type in ("qwen2_vl", "qwen2_5_vl"):
        assert ours == "<|video_pad|>" * (3 * 2 * 3)
        return
    assert ours + backbone.after_video == their_text(backbone, frames)


def test_smolvlm_needs_a_package_for_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_family(write_family(tmp_path, "smolvlm"))
    monkeypatch.setitem(sys.modules, "num2words", None)
    with pytest.raises(SetupError, match=r"pip install 'videolatent-cli\[smolvlm\]'"):
        backbone.video_text(backbone.layout_of(frames_for(backbone)))
