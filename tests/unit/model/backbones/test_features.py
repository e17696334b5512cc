"""Features of a video, and what leak checks leave of them."""

from pathlib import Path

import pytest
import torch

from tests.factories import LATENT
from tests.families import QUESTIONS, frames_for, load_family
from videolatent_cli.model.backbones.features import VideoFeatures, only_visible
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe.data_schema import Visible


@pytest.mark.parametrize("seen", ["endpoints", "shuffled", "none"])
def test_what_a_leak_check_leaves_of_a_video_fits_the_prompt(
    family_folder: Path, seen: Visible
) -> None:
    backbone = load_family(family_folder)
    with torch.no_grad():
        features = only_visible(backbone.encode_video(frames_for(backbone)), seen)
        batch = Prompter(backbone).collate([features], [[Example(*QUESTIONS[0])]])
        logits = VideoLatent(backbone, LATENT).eval()(batch).answer_logits
    marks = int((batch.video_prompt.ids == backbone.visual_token_id).sum())
    assert marks == len(features.embeds) == backbone.num_visual_tokens(features.grid)
    assert bool(logits.isfinite().all())


def test_leak_checks_keep_what_they_say() -> None:
    embeds = torch.arange(24.0).view(12, 2)
    features = VideoFeatures((3, 4, 4), torch.tensor([0.0, 1.0, 2.0]), torch.arange(6.0), embeds)
    assert only_visible(features, "video") is features
    ends = only_visible(features, "endpoints")
    assert ends.grid == (2, 4, 4)
    assert torch.equal(ends.embeds, torch.cat((embeds[:4], embeds[8:])))
    assert ends.group_seconds.tolist() == [0.0, 2.0]
    shuffled = only_visible(features, "shuffled")
    rows = [int(group[0, 0]) // 8 for group in shuffled.embeds.view(3, 4, 2)]
    assert sorted(rows) == [0, 1, 2]
    assert torch.equal(shuffled.embeds, only_visible(features, "shuffled").embeds)
    assert shuffled.group_seconds.tolist() == [0.0, 1.0, 2.0]
    nothing = only_visible(features, "none")
    assert nothing.embeds.abs().max() == 0
    assert nothing.grid == features.grid
