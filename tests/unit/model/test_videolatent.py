"""The whole model: padding changes nothing, and the bottleneck hides the video."""

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
import torch

from tests.factories import LATENT, make_batch, one_row
from tests.families import family_batch, load_family
from videolatent_cli.model.batch import Batch, Padded
from videolatent_cli.model.rollout import Rollout
from videolatent_cli.model.videolatent import VideoLatent


@pytest.mark.parametrize("view", ["latents", "question"])
def test_a_row_of_a_padded_batch_equals_a_batch_of_one(
    family_folder: Path, view: Literal["latents", "question"]
) -> None:
    model = VideoLatent(load_family(family_folder), LATENT).eval()
    batch = family_batch(model.backbone)
    assert not bool(batch.video_prompt.mask.all())
    whole = model(batch, bottleneck=view)
    for row in range(4):
        alone = model(one_row(batch, row), bottleneck=view)
        length = alone.answer_logits.shape[1]
        for ours, single in (
            (whole.answer_logits, alone.answer_logits),
            (whole.bottleneck_logits, alone.bottleneck_logits),
        ):
            assert torch.allclose(ours[row, :length], single[0], atol=1e-4)


@pytest.mark.parametrize("view", ["latents", "question"])
def test_bottleneck_sees_the_video_only_through_the_latents(
    model: VideoLatent, view: Literal["latents", "question"]
) -> None:
    batch = make_batch(model, (0,))
    answers = model.backbone.embed(batch.answer.ids)
    rollout = model.roll_out(model.prefill(batch), following=answers[:, :-1])
    changed = model.roll_out(model.prefill(make_batch(model, (7,))))

    def blind(seen: Rollout, asked: Batch) -> torch.Tensor:
        state = seen.latent_state
        assert state.length == LATENT.num_latents
        if view == "question":
            state = model._question_alone(asked, seen).joined(state)
        return model._bottleneck_logits(asked, state, answers)

    same = model(batch, bottleneck=view).bottleneck_logits
    assert torch.equal(same, blind(rollout, batch))
    assert not torch.allclose(same, blind(changed, batch))
    ids = batch.question.ids.flip(1)
    other = dataclasses.replace(batch, question=Padded(ids, batch.question.mask))
    assert torch.allclose(same, blind(rollout, other)) == (view == "latents")
