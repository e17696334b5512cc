"""Whole conversations against transformers' own processors, which need torchvision.

`make processors` runs these tests; without torchvision, the golden conversations of
`test_batch_prompts.py` stand for them.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from tests.released import LOADABLE, write_released
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.batch import Prompter
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.video.frames import FrameBatch

pytestmark = [
    pytest.mark.skipif(find_spec("torchvision") is None, reason="make processors runs it"),
    pytest.mark.filterwarnings("default"),
]
FPS = 12.0
QUESTION, ANSWER = "What moved first?\n(A) a cup", "a cup"


def load(folder: Path, release: str) -> Backbone:
    write_released(folder, release)
    return load_backbone(BackboneRecipe(model=str(folder), train="full"))


def frames_of(backbone: Backbone, seconds: float, count: int) -> FrameBatch:
    """Noise, at the frames on screen in the middles of equal parts of a video."""
    unit = backbone.geometry.size_multiple_px
    width, height = backbone.geometry.frame_size_px or (4 * unit, 6 * unit)
    shape = (count, height, width, 3)
    data = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    asked = (np.arange(count) + 0.5) * seconds / count
    return FrameBatch(data, np.floor(asked * FPS) / FPS, seconds)


def theirs(folder: Path, frames: FrameBatch, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What transformers' processor gives for a conversation about frames."""
    processor = AutoProcessor.from_pretrained(folder)
    asked = messages[-1]["role"] == "user"
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=asked)
    assert frames.duration_seconds is not None
    metadata = {
        "fps": FPS,
        "frames_indices": [round(t * FPS) for t in frames.pts_seconds],
        "total_num_frames": round(frames.duration_seconds * FPS),
        "duration": frames.duration_seconds,
    }
    out: dict[str, Any] = processor(
        text=[text],
        videos=[torch.from_numpy(frames.data).permute(0, 3, 1, 2)],
        video_metadata=[metadata],
        do_sample_frames=False,
        return_tensors="pt",
    )
    return out


def conversation(answered: bool) -> list[dict[str, Any]]:
    asked = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    answer = {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    return [{"role": "user", "content": asked}, *([answer] if answered else [])]


@pytest.mark.parametrize("seconds", [4.0, 4.9, 75.0])
@pytest.mark.parametrize("release", LOADABLE)
def test_ids_are_those_of_the_processor(release: str, seconds: float, tmp_path: Path) -> None:
    backbone = load(tmp_path, release)
    frames = frames_of(backbone, seconds, 6)
    prompter = Prompter(backbone)
    (video,) = prompter.video_prompts([backbone.layout_of(frames)])
    prompt = video + prompter.questions([QUESTION])[0]
    assert prompt == theirs(tmp_path, frames, conversation(False))["input_ids"][0].tolist()
    whole = theirs(tmp_path, frames, conversation(True))["input_ids"][0].tolist()
    if "llava" in release:  # its template writes a space between "assistant" and the line feed
        del whole[len(prompt) - 1]
    # Templates write a line feed after the end of a turn, which no model has to learn.
    line_feed = backbone.tokenizer("\n", add_special_tokens=False).input_ids
    ours = prompt + prompter.answers([ANSWER])[0]
    assert whole in (ours, ours + line_feed)


@pytest.mark.parametrize("seconds", [4.0, 8.0, 24.0, 60.0])
def test_moments_of_qwen2_5_vl_are_those_of_the_processor(seconds: float, tmp_path: Path) -> None:
    backbone = load(tmp_path, "Qwen2.5-VL-7B-Instruct")
    frames = frames_of(backbone, seconds, 16)
    inputs = theirs(tmp_path, frames, conversation(False))
    ids, grids = inputs["input_ids"], inputs["video_grid_thw"]
    with torch.no_grad():
        features = [backbone.encode_video(frames)]
    visual = ids == backbone.visual_token_id
    wanted, _ = backbone.core.model.get_rope_index(
        ids,
        mm_token_type_ids=inputs["mm_token_type_ids"],
        video_grid_thw=grids,
        second_per_grid_ts=inputs["second_per_grid_ts"],
    )
    found, _ = backbone.prompt_positions(ids, torch.ones_like(visual), features)
    assert torch.equal(found[:, visual], wanted[:, visual])
