"""`vl bench`: what answering and training cost, with latents, at once, and by chain of thought."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from videolatent_cli.errors import RecipeError
from videolatent_cli.model.backbones.load import check_device
from videolatent_cli.model.backbones.quantization import num_parameters
from videolatent_cli.model.batch import Batch, Padded, Prompter
from videolatent_cli.model.generate import generate
from videolatent_cli.model.load import build_model, sampling_of
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import LossWeights, answer_loss
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.training.optimizer import make_optimizer
from videolatent_cli.training.step import SelfForcing
from videolatent_cli.video.frames import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.model.generate import LatentMode
    from videolatent_cli.recipe import Recipe

NEVER = -1
"""No token ends the turn: every mode generates the tokens that it is asked for."""
_SOURCE_PX = (1280, 720)


@dataclass(frozen=True)
class BenchRequest:
    """The shape of what is timed."""

    recipe: Recipe
    trace_tokens: int = 385
    """Tokens of a chain of thought. Source: the mean of Video-R1's answers."""
    question_tokens: int = 120
    answer_tokens: int = 4
    sampled_traces: int = 8
    """Traces that a GRPO-style step samples for each question."""
    rounds: int = 3


@dataclass(frozen=True)
class AnswerCost:
    """One answer to one question."""

    sequential_steps: int
    """Forward passes after the video's prefill, each waiting for the one before."""
    prefill_seconds: float
    seconds: float
    """All of it, features of the video given."""
    tokens_per_second: float
    multiply_adds: float
    peak_memory_bytes: int | None
    """On a GPU; None elsewhere."""


@dataclass(frozen=True)
class StepCost:
    """One training step, per triplet."""

    seconds: float
    multiply_adds: float
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class BenchReport:
    """Costs by name, in the same process on the same input."""

    device: str
    visual_tokens: int
    parameters: int
    request: BenchRequest
    answers: dict[str, AnswerCost]
    steps: dict[str, StepCost]

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.bench/1`."""
        request = self.request
        return {
            "schema": "vl.bench/1",
            "device": self.device,
            "backbone": request.recipe.backbone.model,
            "visual_tokens": self.visual_tokens,
            "parameters": self.parameters,
            "trace_tokens": request.trace_tokens,
            "question_tokens": request.question_tokens,
            "answer_tokens": request.answer_tokens,
            "sampled_traces": request.sampled_traces,
            "answers": {name: asdict(cost) for name, cost in self.answers.items()},
            "steps": {name: asdict(cost) for name, cost in self.steps.items()},
        }


def bench_recipe(
    request: BenchRequest, machine: Machine = Machine(), progress: Progress = silent
) -> BenchReport:
    """Time answers and training steps of a recipe's backbone on a random video of its shape.

    Args:
        request: What is timed.
        machine: Torch device; nothing is cached.
        progress: Called with (what, done, total).

    Raises:
        RecipeError: For a recipe without blocks of latents.
    """
    recipe = request.recipe
    if recipe.latent is None or not recipe.latent.num_blocks:
        raise RecipeError("latent: has no blocks of latents to compare; use a recipe that has")
    device = check_device(machine.device)
    model = build_model(recipe, device)
    features = _random_video(recipe, model)
    short = _batch(model, [features], request.question_tokens, request.answer_tokens)
    answers = _answers(request, model.eval(), short, progress)
    count = recipe.training.videos_per_batch
    steps = _steps(request, model.train(), [features] * count, progress)
    return BenchReport(
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        visual_tokens=len(features.embeds),
        parameters=num_parameters(model.backbone),
        request=request,
        answers=answers,
        steps=steps,
    )


def _random_video(recipe: Recipe, model: VideoLatent) -> VideoFeatures:
    """Return the features of noise: as many frames and pixels as the recipe allows."""
    spec = sampling_of(recipe, model)
    width, height = spec.frame_size(*_SOURCE_PX)
    count = spec.num_frames(spec.max_frames / spec.fps)
    noise = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    with torch.no_grad():
        return model.backbone.encode_video(FrameBatch(noise, np.arange(count) / spec.fps))


def _batch(
    model: VideoLatent, videos: list[VideoFeatures], question_tokens: int, answer_tokens: int
) -> Batch:
    """Return one random question a video."""
    prompter = Prompter(model.backbone)
    heads = torch.tensor(prompter.video_prompts(videos))
    vocab = model.backbone.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)

    def words(count: int) -> Padded:
        ids = torch.randint(10, min(vocab, 100), (len(videos), count), generator=generator)
        return Padded(ids, torch.ones_like(ids, dtype=torch.bool))

    return Batch(
        video_prompt=Padded(heads, torch.ones_like(heads, dtype=torch.bool)),
        videos=tuple(videos),
        video_index=torch.arange(len(videos)),
        question=words(question_tokens),
        teacher_hint=words(answer_tokens + 5),
        answer=words(answer_tokens),
    ).to(model.backbone.device)


def _answers(
    request: BenchRequest, model: VideoLatent, batch: Batch, progress: Progress
) -> dict[str, AnswerCost]:
    """Time one answer in each mode."""
    assert request.recipe.latent is not None
    blocks = request.recipe.latent.num_blocks
    short, long = request.answer_tokens, request.trace_tokens + request.answer_tokens
    modes: Mapping[str, tuple[LatentMode, int, int]] = {
        "direct": ("off", short, short),
        "latents": ("on", short, blocks + short),
        "chain of thought": ("off", long, long),
    }
    costs = {}
    for done, (name, (latents, tokens, steps)) in enumerate(modes.items()):
        progress("answers", done, len(modes))

        ask = partial(generate, model, batch, NEVER, latents=latents, max_new_tokens=tokens)
        adds = _multiply_adds(ask)
        peak = _peak_memory(ask, model)
        laps = [ask().seconds for _ in range(request.rounds)]
        seconds = statistics.median(sum(lap.values()) for lap in laps)
        costs[name] = AnswerCost(
            sequential_steps=steps,
            prefill_seconds=statistics.median(lap["prefill"] for lap in laps),
            seconds=seconds,
            tokens_per_second=tokens / seconds,
            multiply_adds=adds,
            peak_memory_bytes=peak,
        )
    return costs


def _steps(
    request: BenchRequest, model: VideoLatent, videos: list[VideoFeatures], progress: Progress
) -> dict[str, StepCost]:
    """Time one training step of each kind."""
    recipe = request.recipe
    plain = VideoLatent(model.backbone, None)
    short = _batch(model, videos, request.question_tokens, request.answer_tokens)
    long = _batch(
        model, videos, request.question_tokens, request.trace_tokens + request.answer_tokens
    )
    loss = recipe.loss
    weights = LossWeights(loss.alignment_weight, loss.diversity_weight, loss.bottleneck_weight)
    full = SelfForcing(model, recipe)
    sft = SelfForcing(plain, recipe.model_copy(update={"latent": None}))
    kinds: dict[str, tuple[SelfForcing, Callable[[], torch.Tensor]]] = {
        "plain SFT": (sft, lambda: sft(short, LossWeights()).total),
        "latents, full objective": (full, lambda: full(short, weights).total),
        "chain-of-thought SFT": (sft, lambda: sft(long, LossWeights()).total),
        "GRPO-style": (sft, lambda: _grpo_loss(request, plain, short)),
    }
    costs = {}
    for done, (name, (module, make_loss)) in enumerate(kinds.items()):
        progress("training steps", done, len(kinds))
        optimizer = make_optimizer(module, recipe.training)

        def step(
            make_loss: Callable[[], torch.Tensor] = make_loss,
            optimizer: torch.optim.Optimizer = optimizer,
        ) -> None:
            torch.autograd.backward(make_loss())
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        adds = _multiply_adds(step)
        peak = _peak_memory(step, model)
        seconds = statistics.median(_seconds(step, model) for _ in range(request.rounds))
        costs[name] = StepCost(seconds / len(videos), adds / len(videos), peak)
    return costs


def _grpo_loss(request: BenchRequest, model: VideoLatent, batch: Batch) -> torch.Tensor:
    """Sample traces of each question, then score them with gradient.

    Choice: the cheapest form, without a reference model and with one update for each sample.
    """
    count = request.sampled_traces
    many = replace(
        batch,
        video_index=batch.video_index.repeat_interleave(count),
        question=Padded(
            batch.question.ids.repeat_interleave(count, 0),
            batch.question.mask.repeat_interleave(count, 0),
        ),
    )
    length = request.trace_tokens + request.answer_tokens
    sampled = generate(model, many, NEVER, latents="off", max_new_tokens=length).token_ids
    ids = torch.tensor(sampled, device=batch.answer.ids.device)
    answer = Padded(ids, torch.ones_like(ids, dtype=torch.bool))
    logits = model(replace(many, answer=answer)).answer_logits
    return answer_loss(logits, answer.ids, answer.mask)


def _multiply_adds(do: Callable[[], object]) -> float:
    """Return the multiply-adds of matrix products and attention; also warms up."""
    with FlopCounterMode(display=False) as counter:
        do()
    return float(counter.get_total_flops()) / 2


def _peak_memory(do: Callable[[], object], model: VideoLatent) -> int | None:
    """Return the largest memory that was allocated on the GPU, weights included."""
    device = model.backbone.device
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    do()
    return torch.cuda.max_memory_allocated(device)


def _seconds(do: Callable[[], object], model: VideoLatent) -> float:
    """Return the wall time of a piece of work, the GPU's part included."""
    device = model.backbone.device
    started = time.perf_counter()
    do()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
