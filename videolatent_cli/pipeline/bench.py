"""`vl bench`: measure the cost of answers and training steps, with and without latents."""

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
"""End-of-turn token that no model generates. Every mode then writes exactly as many tokens as it is
asked for."""
_SOURCE_PX = (1280, 720)
"""Width and height of the random video before resizing."""


@dataclass(frozen=True)
class BenchRequest:
    """Recipe to measure, and the lengths of questions, answers and chains of thought."""

    recipe: Recipe
    trace_tokens: int = 385
    """Number of tokens per chain of thought. Source: the mean of Video-R1's answers."""
    question_tokens: int = 120
    """Number of tokens per question."""
    answer_tokens: int = 4
    """Number of tokens per answer."""
    sampled_traces: int = 8
    """Number of chains of thought that a GRPO-style step samples per question."""
    rounds: int = 3
    """Number of measurements, of which the median is reported."""


@dataclass(frozen=True)
class AnswerCost:
    """Cost of one answer to one question."""

    sequential_steps: int
    """Number of forward passes after the prefill, each of which depends on the one before."""
    prefill_seconds: float
    """Time of the prefill of video and question (s)."""
    seconds: float
    """Total time (s), prefill included; encoding the video is not."""
    tokens_per_second: float
    """Number of generated tokens per second of the total time."""
    multiply_adds: float
    """Number of multiply-adds in matrix products and attention."""
    peak_memory_bytes: int | None
    """Peak of the allocated GPU memory, weights included; None without a GPU."""


@dataclass(frozen=True)
class StepCost:
    """Cost of one training step; time and operations are per triplet."""

    seconds: float
    """Time per triplet (s)."""
    multiply_adds: float
    """Number of multiply-adds in matrix products and attention, per triplet."""
    peak_memory_bytes: int | None
    """Peak of the allocated GPU memory of the whole step; None without a GPU."""


@dataclass(frozen=True)
class BenchReport:
    """Costs by name, all measured in one process on one input."""

    device: str
    """Name of the GPU, or `cpu`."""
    visual_tokens: int
    """Number of tokens of the random video."""
    parameters: int
    """Number of parameters of the backbone."""
    request: BenchRequest
    answers: dict[str, AnswerCost]
    """Cost of one answer by mode: direct, latents, chain of thought."""
    steps: dict[str, StepCost]
    """Cost of one training step by method, such as `plain SFT`."""

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
    """Measure answers and training steps of a recipe's backbone on a random video.

    The video has as many frames and pixels as the recipe allows.

    Args:
        request: Recipe and lengths of the texts.
        machine: Torch device; nothing is cached.
        progress: Called with (what, done, total).

    Raises:
        RecipeError: If the recipe has no blocks of latents.
    """
    recipe = request.recipe
    if recipe.latent is None or not recipe.latent.num_blocks:
        raise RecipeError("latent: has no blocks of latents to compare; use a recipe with latents")
    device = check_device(machine.device)
    model = build_model(recipe, device)
    features = _random_video(recipe, model)
    batch = _batch(model, [features], request.question_tokens, request.answer_tokens)
    answers = _answers(request, model.eval(), batch, progress)
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
    """Return the features of a video of noise, with as many frames and pixels as allowed."""
    spec = sampling_of(recipe, model)
    width, height = spec.frame_size(*_SOURCE_PX)
    count = spec.num_frames(spec.max_frames / spec.fps)
    noise = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    with torch.no_grad():
        return model.backbone.encode_video(FrameBatch(noise, np.arange(count) / spec.fps))


def _batch(
    model: VideoLatent, videos: list[VideoFeatures], question_tokens: int, answer_tokens: int
) -> Batch:
    """Return a batch of one question per video, with random tokens."""
    prompter = Prompter(model.backbone)
    video_prompts = torch.tensor(prompter.video_prompts(videos))
    vocab = model.backbone.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)

    def random_tokens(count: int) -> Padded:
        # The lowest ids may be special tokens.
        ids = torch.randint(10, min(vocab, 100), (len(videos), count), generator=generator)
        return Padded(ids, torch.ones_like(ids, dtype=torch.bool))

    return Batch(
        video_prompt=Padded(video_prompts, torch.ones_like(video_prompts, dtype=torch.bool)),
        videos=tuple(videos),
        video_index=torch.arange(len(videos)),
        question=random_tokens(question_tokens),
        teacher_hint=random_tokens(answer_tokens + 5),  # the answer in a sentence
        answer=random_tokens(answer_tokens),
    ).to(model.backbone.device)


def _answers(
    request: BenchRequest, model: VideoLatent, batch: Batch, progress: Progress
) -> dict[str, AnswerCost]:
    """Return the cost of one answer in each mode."""
    assert request.recipe.latent is not None
    blocks = request.recipe.latent.num_blocks
    answer, trace = request.answer_tokens, request.trace_tokens
    # Latents, tokens to generate, and sequential steps: one per block of latents and per token.
    modes: Mapping[str, tuple[LatentMode, int, int]] = {
        "direct": ("off", answer, answer),
        "latents": ("on", answer, blocks + answer),
        "chain of thought": ("off", trace + answer, trace + answer),
    }
    costs = {}
    for done, (name, (latents, tokens, steps)) in enumerate(modes.items()):
        progress("answers", done, len(modes))

        ask = partial(generate, model, batch, NEVER, latents=latents, max_new_tokens=tokens)
        multiply_adds = _multiply_adds(ask)
        peak = _peak_memory(ask, model)
        timings = [ask().seconds for _ in range(request.rounds)]
        seconds = statistics.median(sum(timing.values()) for timing in timings)
        costs[name] = AnswerCost(
            sequential_steps=steps,
            prefill_seconds=statistics.median(timing["prefill"] for timing in timings),
            seconds=seconds,
            tokens_per_second=tokens / seconds,
            multiply_adds=multiply_adds,
            peak_memory_bytes=peak,
        )
    return costs


def _steps(
    request: BenchRequest, model: VideoLatent, videos: list[VideoFeatures], progress: Progress
) -> dict[str, StepCost]:
    """Return the cost of one training step of each method."""
    recipe = request.recipe
    plain = VideoLatent(model.backbone, None)
    answers = _batch(model, videos, request.question_tokens, request.answer_tokens)
    traces = _batch(
        model, videos, request.question_tokens, request.trace_tokens + request.answer_tokens
    )
    loss = recipe.loss
    weights = LossWeights(loss.alignment_weight, loss.diversity_weight, loss.bottleneck_weight)
    full = SelfForcing(model, recipe)
    # As after a first step, which only measures the statistics of the objectives.
    full.remember([full(answers, weights).statistics])
    sft = SelfForcing(plain, recipe.model_copy(update={"latent": None}))
    methods: dict[str, tuple[SelfForcing, Callable[[], torch.Tensor]]] = {
        "plain SFT": (sft, lambda: sft(answers, LossWeights()).total),
        "latents, full objective": (full, lambda: full(answers, weights).total),
        "chain-of-thought SFT": (sft, lambda: sft(traces, LossWeights()).total),
        "GRPO-style": (sft, lambda: _grpo_loss(request, plain, answers)),
    }
    costs = {}
    for done, (name, (module, make_loss)) in enumerate(methods.items()):
        progress("training steps", done, len(methods))
        optimizer = make_optimizer(module, recipe.training)

        # Default values bind the variables of this iteration.
        def step(
            make_loss: Callable[[], torch.Tensor] = make_loss,
            optimizer: torch.optim.Optimizer = optimizer,
        ) -> None:
            torch.autograd.backward(make_loss())
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        multiply_adds = _multiply_adds(step)
        peak = _peak_memory(step, model)
        seconds = statistics.median(_seconds(step, model) for _ in range(request.rounds))
        costs[name] = StepCost(seconds / len(videos), multiply_adds / len(videos), peak)
    return costs


def _grpo_loss(request: BenchRequest, model: VideoLatent, batch: Batch) -> torch.Tensor:
    """Return the loss of a GRPO-style step: sample traces per question, then score them.

    Choice: the cheapest form, without a reference model and with one update per sample.
    """
    count = request.sampled_traces
    repeated = replace(
        batch,
        video_index=batch.video_index.repeat_interleave(count),
        question=Padded(
            batch.question.ids.repeat_interleave(count, 0),
            batch.question.mask.repeat_interleave(count, 0),
        ),
    )
    length = request.trace_tokens + request.answer_tokens
    sampled = generate(model, repeated, NEVER, latents="off", max_new_tokens=length).token_ids
    ids = torch.tensor(sampled, device=batch.answer.ids.device)
    answer = Padded(ids, torch.ones_like(ids, dtype=torch.bool))
    logits = model(replace(repeated, answer=answer)).answer_logits
    return answer_loss(logits, answer.ids, answer.mask)


def _multiply_adds(work: Callable[[], object]) -> float:
    """Return the multiply-adds of matrix products and attention; the call also warms up."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 2  # torch counts two operations per multiply-add


def _peak_memory(work: Callable[[], object], model: VideoLatent) -> int | None:
    """Return the peak of the allocated GPU memory, weights included; None without a GPU."""
    device = model.backbone.device
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device)


def _seconds(work: Callable[[], object], model: VideoLatent) -> float:
    """Return the wall time of some work (s), the GPU's part included."""
    device = model.backbone.device
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # kernels run asynchronously
    return time.perf_counter() - started
