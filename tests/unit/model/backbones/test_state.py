"""Key-value states: gradients through them are those of one pass."""

from pathlib import Path

import torch
from torch.nn.functional import pad

from tests.factories import LATENT, one_row
from tests.families import family_batch, load_family
from videolatent_cli.model.backbones.state import State
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss


def loss_in_one_pass(model: VideoLatent, batch: Batch) -> torch.Tensor:
    """The answer's loss with the whole text of one row run again, from the video on, each time."""
    backbone, injection, features = model.backbone, model.injection, list(batch.videos)
    assert injection is not None
    ids, question = batch.video_prompt.ids, model.prefill(batch)
    visual = ids == backbone.visual_token_id
    merged = torch.cat([video.embeds for video in features])
    head = backbone.embed(ids).masked_scatter(visual[..., None], merged)
    positions, after = backbone.prompt_positions(ids, batch.video_prompt.mask, features)

    def run(rest: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        flat = after[:, None] + moves.cumsum(0)[None] - 1
        everywhere = torch.cat((positions, backbone.text_positions(flat)), -1)
        deep = backbone.deepstack_inputs(pad(visual, (0, len(moves))), features)
        embeds = torch.cat((head, rest), 1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.bool)
        nothing = backbone.empty_state(1)
        return backbone._run(embeds, mask, everywhere, after, nothing, (), **deep).hidden

    rest = torch.cat((question.embeds, injection.start[None], injection.slots[None]), 1)
    moves = torch.zeros(rest.shape[1], dtype=torch.long)
    moves[: question.embeds.shape[1]] = 1
    for block in range(injection.num_blocks):
        z, _ = injection(
            run(rest, moves)[:, -injection.latents_per_block :], question.memory, block
        )
        rest, moves = torch.cat((rest, z), 1), pad(moves, (0, z.shape[1]))
    answers = backbone.embed(batch.answer.ids[:, :-1])
    rest, moves = (
        torch.cat((rest, injection.end[None], answers), 1),
        torch.cat(
            (
                moves,
                torch.zeros(1, dtype=torch.long),
                torch.ones(answers.shape[1], dtype=torch.long),
            )
        ),
    )
    hidden = run(rest, moves)[:, -batch.answer.ids.shape[1] :]
    return answer_loss(backbone.logits(hidden), batch.answer.ids, batch.answer.mask)


def test_gradient_through_the_state_is_that_of_one_pass(family_folder: Path) -> None:
    model = VideoLatent(load_family(family_folder), LATENT).eval()
    assert model.injection is not None
    torch.nn.init.normal_(model.injection.down.weight, std=0.1)
    batch = one_row(family_batch(model.backbone), 0)
    grads = []
    for loss in (
        answer_loss(model(batch).answer_logits, batch.answer.ids, batch.answer.mask),
        loss_in_one_pass(model, batch),
    ):
        model.zero_grad()
        loss.backward()
        grads.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, gradient in grads[0].items():
        assert torch.allclose(grads[1][name], gradient, rtol=1e-3, atol=1e-5), name


def numbered_state(rows: int = 2, length: int = 3) -> State:
    """A state of one layer whose keys are numbered and whose values are their negatives."""
    keys = torch.arange(float(rows * length)).view(rows, 1, length, 1)
    mask = torch.ones(rows, length, dtype=torch.bool)
    return State(((keys, -keys),), mask, torch.full((rows,), length))


def test_rows_repeat_and_gradients_add_up() -> None:
    state = numbered_state()
    assert state.rows(torch.arange(2)).layers[0][0] is state.layers[0][0]
    twice = state.rows(torch.tensor([0, 0, 1, 1])).layers[0][0]
    assert twice[:, 0, 0, 0].tolist() == [0, 0, 3, 3]
    mixed = state.rows(torch.tensor([1, 0, 1]))
    assert mixed.layers[0][1][:, 0, 0, 0].tolist() == [-3, 0, -3]
    keys = torch.ones(1, 1, 2, 1, requires_grad=True)
    one = State(((keys, keys),), torch.ones(1, 2, dtype=torch.bool), torch.tensor([2]))
    one.rows(torch.zeros(5, dtype=torch.long)).layers[0][0].sum().backward()
    assert keys.grad is not None
    assert keys.grad.flatten().tolist() == [5, 5]


def test_a_window_and_the_rest_join_to_the_whole() -> None:
    state = numbered_state()
    head, rest = state.window(0, 1, torch.tensor([1, 1])), state.window(1, 3, state.next_position)
    assert (head.length, rest.length) == (1, 2)
    whole = head.joined(rest)
    assert torch.equal(whole.layers[0][0], state.layers[0][0])
    assert torch.equal(whole.mask, state.mask)
    assert torch.equal(whole.next_position, state.next_position)
    own = head.copied()
    own.layers[0][0].fill_(9)
    assert head.layers[0][0][0, 0, 0, 0] == 0
