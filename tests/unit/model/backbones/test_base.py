"""Backbones of every family against transformers' own forward."""

from pathlib import Path

import torch

from tests.factories import one_row
from tests.families import family_batch, frames_for, load_family, pixel_inputs
from videolatent_cli.model.videolatent import VideoLatent


def test_logits_equal_those_of_transformers_from_pixels(family_folder: Path) -> None:
    backbone = load_family(family_folder)
    batch = one_row(family_batch(backbone), 1)
    ours = VideoLatent(backbone, None).eval()(batch).answer_logits
    ids = torch.cat((batch.video_prompt.ids, batch.question.ids, batch.answer.ids), 1)
    with torch.no_grad():
        inputs = pixel_inputs(backbone, frames_for(backbone), ids)
        theirs = backbone.core(input_ids=ids, use_cache=False, **inputs).logits
    length = batch.answer.ids.shape[1]
    assert torch.allclose(ours, theirs[:, -length - 1 : -1], atol=1e-4)


def test_videos_encoded_together_equal_each_alone(family_folder: Path) -> None:
    backbone = load_family(family_folder)
    pair = [frames_for(backbone), frames_for(backbone, seed=1, count=2)]
    with torch.no_grad():
        for frames, together in zip(pair, backbone.encode_videos(pair), strict=True):
            alone = backbone.encode_video(frames)
            assert torch.allclose(alone.embeds, together.embeds, atol=1e-5)
