"""Qwen-VL: positions of video and text."""

from pathlib import Path

import torch

from tests.factories import make_batch, one_row, small_backbone
from tests.families import QUESTIONS, frames_for, load_family, write_family
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.videolatent import VideoLatent


def test_text_goes_on_after_the_last_moment_of_a_long_video(tmp_path: Path) -> None:
    backbone = load_family(write_family(tmp_path, "qwen2_5_vl"))
    with torch.no_grad():
        features = backbone.encode_video(frames_for(backbone, count=40))
    head = Prompter(backbone).collate([features], [[Example(*QUESTIONS[0])]]).video_prompt
    positions, after = backbone.prompt_positions(head.ids, head.mask, [features])
    assert int(after) == int(positions.max()) + 1
    inside = positions[:, head.ids == backbone.visual_token_id]
    assert int(inside[0].max()) > int(inside[1:].max())


def test_backbone_equals_one_plain_forward_of_transformers(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    model = VideoLatent(backbone, None).eval()
    batch = one_row(make_batch(model), 1)
    ours = model(batch).answer_logits
    ids = torch.cat((batch.video_prompt.ids, batch.question.ids, batch.answer.ids), 1)
    features = batch.videos[0]
    embeds = backbone.embed(ids).masked_scatter(
        (ids == backbone.config.video_token_id)[..., None], features.embeds
    )
    positions, _ = backbone.core.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == backbone.config.video_token_id).int() * 2,
        video_grid_thw=torch.tensor([features.grid]),
        second_per_grid_ts=[features.seconds_per_group],
    )
    theirs = backbone.core(inputs_embeds=embeds, position_ids=positions, use_cache=False).logits
    length = batch.answer.ids.shape[1]
    assert torch.allclose(ours, theirs[:, -length - 1 : -1], atol=1e-5)
