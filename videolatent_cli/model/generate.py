"""Answering: prefill, latents, greedy decoding, and the likelihood of given choices."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from videolatent_cli.model.batch import pad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from videolatent_cli.model.backbones.state import Extension, State
    from videolatent_cli.model.batch import Batch, Prompter
    from videolatent_cli.model.rollout import Rollout
    from videolatent_cli.model.videolatent import PrefilledQuestions, VideoLatent

LatentMode = Literal["on", "off", "markers"]


@dataclass(frozen=True)
class Generated:
    """Answers of a batch."""

    token_ids: list[list[int]]
    """Without the end of turn."""
    first_logits: Float[Tensor, "batch vocab"]
    """Distribution of the first answer token."""
    log_likelihoods: list[float]
    """Of each answer, a mean over its tokens and the end of turn (nats)."""
    rollout: Rollout | None
    state: State
    """State before the answer."""
    end_hidden: Float[Tensor, "batch 1 dim"]
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of `prefill`, `latents` and `generate`."""


@torch.no_grad()
def generate(
    model: VideoLatent,
    batch: Batch,
    end_of_turn: int,
    *,
    latents: LatentMode = "on",
    replace: Callable[[Tensor], Tensor] | None = None,
    max_new_tokens: int = 32,
) -> Generated:
    """Return greedy answers; the rollout is the one of training.

    Args:
        model: In evaluation mode.
        batch: Questions on their videos, on the model's device; answers and hints are not read.
        end_of_turn: Token that ends an answer.
        latents: `off` answers straight after the question, as a plain model does; `markers` after
            the two markers with nothing between them.
        replace: Changes each block of latents before it enters the model.
        max_new_tokens: Longest answer.
    """
    clock = _Clock(model.backbone.device)
    question = model.prefill(batch)
    clock.lap("prefill")
    rollout: Rollout | None = None
    if model.injection is not None and latents == "on":
        rollout = model.roll_out(question, replace=replace)
        hidden, state = rollout.end_hidden, rollout.state
    else:
        out = _without_latents(model, question, markers=latents == "markers")
        hidden, state = out.hidden[:, -1:], out.state
    clock.lap("latents")
    ids, first, likelihoods = _greedy(model, hidden, state, end_of_turn, max_new_tokens)
    clock.lap("generate")
    return Generated(ids, first, likelihoods, rollout, state, hidden, clock.seconds)


def _without_latents(
    model: VideoLatent, question: PrefilledQuestions, *, markers: bool
) -> Extension:
    """Run the question, and the two markers if wanted."""
    if not markers or model.injection is None:
        return model.backbone.extend(question.embeds, question.state, question.mask)
    rows = len(question.embeds)
    pair = torch.cat((model.injection.start, model.injection.end)).to(question.embeds.dtype)
    mask = torch.nn.functional.pad(question.mask, (0, 2), value=True)
    advances_position = torch.cat((question.mask, model.injection.advances_position(rows, 2)), 1)
    embeds = torch.cat((question.embeds, pair.expand(rows, -1, -1)), 1)
    return model.backbone.extend(embeds, question.state, mask, advances_position=advances_position)


def _greedy(
    model: VideoLatent, hidden: Tensor, state: State, end_of_turn: int, limit: int
) -> tuple[list[list[int]], Tensor, list[float]]:
    """Decode until every row has ended; return token ids, first logits, mean log-likelihoods."""
    rows: list[list[int]] = [[] for _ in range(len(hidden))]
    running = torch.ones(len(hidden), dtype=torch.bool, device=hidden.device)
    total, length = torch.zeros(2, len(hidden), device=hidden.device)
    first = model.backbone.logits(hidden[:, -1])
    logits = first
    for step in range(limit):
        chance, best = logits.float().log_softmax(-1).max(-1)
        total, length = total + chance * running, length + running
        running = running & (best != end_of_turn)
        for row in running.nonzero().flatten().tolist():
            rows[row].append(int(best[row]))
        if not bool(running.any()) or step == limit - 1:
            break
        out = model.backbone.extend(model.backbone.embed(best[:, None]), state)
        state, logits = out.state, model.backbone.logits(out.hidden[:, -1])
    return rows, first, (total / length).tolist()


@torch.no_grad()
def score_choices(
    model: VideoLatent, prompter: Prompter, generated: Generated, row: int, choices: Sequence[str]
) -> list[float]:
    """Return the probability of each choice of one row, normalised over the choices.

    Choice: by the log-likelihood of the whole choice with its end of turn.
    """
    answers = pad(prompter.answers(choices), "right").to(model.backbone.device)
    rows = torch.full((len(choices),), row, device=model.backbone.device)
    embeds = model.backbone.embed(answers.ids[:, :-1])
    out = model.backbone.extend(embeds, generated.state.rows(rows))
    hidden = torch.cat((generated.end_hidden[rows], out.hidden), 1)
    chances = model.backbone.logits(hidden).float().log_softmax(-1)
    tokens = chances.gather(-1, answers.ids[..., None]).squeeze(-1)
    totals = (tokens * answers.mask).sum(1)
    return [float(p) for p in totals.softmax(0)]


class _Clock:
    """Wall time of consecutive parts; waits for the GPU at each lap."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Record the time since the last lap."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
