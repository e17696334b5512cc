"""Position ids of Qwen2-VL and Qwen2.5-VL after and within a long video."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.families import write_family
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.features import Layout, VideoFeatures
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.batch import Padded, Prompter, pad
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe

PER_SECOND = 2
"""Position ids per second, as in the released Qwen2.5-VL."""


def load(folder: Path, family: str) -> Backbone:
    backbone = load_backbone(BackboneRecipe(model=str(write_family(folder, family)), train="full"))
    backbone.config.vision_config.tokens_per_second = PER_SECOND
    return backbone


def layout(backbone: Backbone, times: np.ndarray, rows: int = 2) -> VideoFeatures:
    plain = backbone.layout(times, 48, 16 * rows)
    count = backbone.num_visual_tokens(plain.grid)
    return VideoFeatures(**vars(plain), embeds=torch.zeros(count, backbone.dim))


def prompts(backbone: Backbone, videos: list[VideoFeatures]) -> Padded:
    return pad(Prompter(backbone).video_prompts(videos), "left")


def uniform(seconds: float, count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) * seconds / count


@pytest.mark.parametrize("seconds", [1.0, 0.5, 1.5, 7.5])
@pytest.mark.parametrize("rate", [10.0, 24_000 / 1001, 30_000 / 1001])
def test_moments_of_real_frames_count_as_the_moments_that_were_asked_for(
    seconds: float, rate: float, tmp_path: Path
) -> None:
    """A frame on screen was shown a little earlier: the mean is then just below the whole."""
    backbone = load(tmp_path, "qwen2_5_vl")
    groups = 24
    asked = uniform(seconds * groups, 2 * groups)
    shown = np.floor(asked * rate) / rate
    worst = asked.copy()
    worst[-2:] -= 0.99 / rate
    for times in (asked, shown, worst):
        video = layout(backbone, times)
        prompt = prompts(backbone, [video])
        positions, _ = backbone.prompt_positions(prompt.ids, prompt.mask, [video])
        visual = positions[0, 0, prompt.ids[0] == backbone.visual_token_id]
        steps = (visual.view(groups, -1)[:, 0] - visual[0]).tolist()
        assert steps == [int(index * seconds * PER_SECOND) for index in range(groups)]


def test_one_group_has_a_position(tmp_path: Path) -> None:
    backbone = load(tmp_path, "qwen2_5_vl")
    video = layout(backbone, uniform(1, 2))
    assert isinstance(video, Layout)
    prompt = prompts(backbone, [video])
    positions, after = backbone.prompt_positions(prompt.ids, prompt.mask, [video])
    assert int(after) == int(positions.max()) + 1
