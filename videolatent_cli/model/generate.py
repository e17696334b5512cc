"""Answer generation: prefill, rollout, greedy decoding, and probabilities of given choices."""

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
"""Latents before the answer: the rollout, nothing, or the two markers alone."""


@dataclass(frozen=True)
class Generated:
    """Generated answers of a batch."""

    token_ids: list[list[int]]
    """Token ids of each answer, without the end of turn."""
    first_logits: Float[Tensor, "batch vocab"]
    """Logits of the first answer token."""
    log_likelihoods: list[float]
    """Log-likelihood of each answer, mean over its tokens and the end of turn (nats)."""
    rollout: Rollout | None
    """Rollout before the answer; None without latents."""
    state: State
    """State before the answer."""
    end_hidden: Float[Tensor, "batch 1 dim"]
    """Last hidden state before the answer, which predicts its first token."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of the parts `prefill`, `latents` and `generate` (s)."""


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
    """Return greedily decoded answers, after the same rollout as in training.

    Args:
        model: Model in evaluation mode.
        batch: Questions and their videos, on the model's device; answers and hints are not used.
        end_of_turn: Token that ends an answer.
        latents: `on` runs the rollout. `off` answers directly after the question, as a plain model
            does. `markers` answers after the two markers with nothing between them.
        replace: Function that changes each block of latents before it enters the model.
        max_new_tokens: Largest number of tokens per answer, the end of turn included.
    """
    clock = _Clock(model.backbone.device)
    prefilled = model.prefill(batch)
    clock.lap("prefill")
    rollout: Rollout | None = None
    if model.injection is not None and latents == "on":
        rollout = model.roll_out(prefilled, replace=replace)
        hidden, state = rollout.end_hidden, rollout.state
    else:
        out = _without_latents(model, prefilled, markers=latents == "markers")
        hidden, state = out.hidden[:, -1:], out.state
    clock.lap("latents")
    ids, first, likelihoods = _greedy(model, hidden, state, end_of_turn, max_new_tokens)
    clock.lap("generate")
    return Generated(ids, first, likelihoods, rollout, state, hidden, clock.seconds)


def _without_latents(
    model: VideoLatent, prefilled: PrefilledQuestions, *, markers: bool
) -> Extension:
    """Run the questions, with `markers` also the start and end markers, and no latents."""
    if not markers or model.injection is None:
        return model.backbone.extend(prefilled.embeds, prefilled.state, prefilled.mask)
    rows = len(prefilled.embeds)
    pair = torch.cat((model.injection.start, model.injection.end)).to(prefilled.embeds.dtype)
    mask = torch.nn.functional.pad(prefilled.mask, (0, 2), value=True)  # (batch, seq + 2)
    advances_position = torch.cat((prefilled.mask, model.injection.advances_position(rows, 2)), 1)
    embeds = torch.cat((prefilled.embeds, pair.expand(rows, -1, -1)), 1)  # (batch, seq + 2, dim)
    return model.backbone.extend(embeds, prefilled.state, mask, advances_position=advances_position)


def _greedy(
    model: VideoLatent, hidden: Tensor, state: State, end_of_turn: int, limit: int
) -> tuple[list[list[int]], Tensor, list[float]]:
    """Decode greedily until every row has ended or has `limit` tokens.

    Returns:
        Token ids of each row, logits of the first token, and the mean log-likelihood of each row.
    """
    token_ids: list[list[int]] = [[] for _ in range(len(hidden))]
    running = torch.ones(len(hidden), dtype=torch.bool, device=hidden.device)
    total, length = torch.zeros(2, len(hidden), device=hidden.device)
    first = model.backbone.logits(hidden[:, -1])
    logits = first
    for step in range(limit):
        log_probability, best = logits.float().log_softmax(-1).max(-1)
        # The end of turn counts towards total and length, but is not part of the answer.
        total, length = total + log_probability * running, length + running
        running = running & (best != end_of_turn)
        for row in running.nonzero().flatten().tolist():
            token_ids[row].append(int(best[row]))
        if not bool(running.any()) or step == limit - 1:
            break
        out = model.backbone.extend(model.backbone.embed(best[:, None]), state)
        state, logits = out.state, model.backbone.logits(out.hidden[:, -1])
    return token_ids, first, (total / length).tolist()


@torch.no_grad()
def score_choices(
    model: VideoLatent, prompter: Prompter, generated: Generated, row: int, choices: Sequence[str]
) -> list[float]:
    """Return the probability of each choice for one question, normalised over the choices.

    Choice: the score is the log-likelihood of the whole choice, its end of turn included.

    Args:
        model: Model that generated the answers.
        prompter: Tokenizer of the choices.
        generated: Generated answers of the question's batch.
        row: Row of the question in that batch.
        choices: Texts to compare.
    """
    answers = pad(prompter.answers(choices), "right").to(model.backbone.device)
    rows = torch.full((len(choices),), row, device=model.backbone.device)
    # The last token of a choice predicts nothing that is scored. Right padding needs no mask.
    embeds = model.backbone.embed(answers.ids[:, :-1])  # (choice, length - 1, dim)
    out = model.backbone.extend(embeds, generated.state.rows(rows))
    hidden = torch.cat((generated.end_hidden[rows], out.hidden), 1)  # (choice, length, dim)
    log_probabilities = model.backbone.logits(hidden).float().log_softmax(-1)
    by_token = log_probabilities.gather(-1, answers.ids[..., None]).squeeze(-1)  # (choice, length)
    totals = (by_token * answers.mask).sum(1)
    return [float(p) for p in totals.softmax(0)]


class _Clock:
    """Stopwatch for consecutive parts; each lap waits until the GPU has finished its work."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Record the seconds since the last lap under `name`."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
