"""`vl plan`: what a recipe will cost, before anything runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from videolatent_cli.data.dataset import TRAIN
from videolatent_cli.data.eventworld import FPS, make_world
from videolatent_cli.data.prompts import question_text
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.checkpoint import find_checkpoint
from videolatent_cli.model.features import Layout
from videolatent_cli.model.load import build_model, sampling_of
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.prepare import cache_status, clips_of, open_source, recipe_dataset
from videolatent_cli.recipe.data_schema import EventWorldData
from videolatent_cli.training.feed import Lengths, TripletFeed
from videolatent_cli.video.probe import probe

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.data.dataset import Dataset
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe
    from videolatent_cli.video.sampling import SamplingSpec

_BINS = 8
_ACTIVATION_FLOATS = 40
"""Floats kept for the backward pass for each position, layer and channel. Choice: a rough figure
for decoders with gated MLPs and exact attention."""


@dataclass(frozen=True)
class Plan:
    """What a recipe will cost. Memory and time are estimates."""

    run_dir: Path
    triplets: int
    eval_triplets: int
    videos: int
    tokens: list[int]
    """Positions of each training triplet: video, question, latents, answer."""
    longest: str
    """Id of the triplet with most tokens."""
    cache_bytes: int
    cached_videos: int
    steps: int
    steps_done: int
    memory_bytes: int
    seconds_per_step: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.plan/1`."""
        return {
            "schema": "vl.plan/1",
            "triplets": self.triplets,
            "eval_triplets": self.eval_triplets,
            "videos": self.videos,
            "tokens": {
                "min": min(self.tokens),
                "mean": sum(self.tokens) / len(self.tokens),
                "max": max(self.tokens),
                "histogram": histogram(self.tokens),
            },
            "longest_triplet": self.longest,
            "cache_bytes": self.cache_bytes,
            "cached_videos": self.cached_videos,
            "steps": self.steps,
            "steps_done": self.steps_done,
            "estimated_memory_bytes": self.memory_bytes,
            "estimated_seconds": self.seconds_per_step * (self.steps - self.steps_done),
        }

    def text(self) -> str:
        """Return the plan for people."""
        left = self.steps - self.steps_done
        lines = [
            f"triplets   {self.triplets} for training, {self.eval_triplets} for evaluation",
            f"videos     {self.videos}, {self.cached_videos} of them cached",
            f"tokens     {min(self.tokens)}-{max(self.tokens)} a triplet, longest {self.longest}",
            *(f"           {low:>6}-{high:<6} {'#' * round(40 * share)} {count}"
              for low, high, count, share in histogram(self.tokens)),
            f"cache      {self.cache_bytes / 1e6:.1f} MB when complete",
            f"memory     about {self.memory_bytes / 1e9:.2f} GB (rough)",
            f"steps      {self.steps}, {self.steps_done} done",
            f"time       about {self.seconds_per_step * left:.0f} s for {left} steps on this "
            "machine's CPU (rough)",
            f"next       vl train ... --run-dir {self.run_dir}",
        ]  # fmt: skip
        return "\n".join(lines)


def histogram(values: list[int]) -> list[tuple[int, int, int, float]]:
    """Return (lowest, highest, count, share) of up to 8 equal bins; empty bins are left out."""
    low, high = min(values), max(values)
    width = max(1, -(-(high - low + 1) // _BINS))
    rows = []
    for start in range(low, high + 1, width):
        count = sum(start <= value < start + width for value in values)
        if count:
            rows.append((start, start + width - 1, count, count / len(values)))
    return rows


def plan_recipe(recipe: Recipe, base_dir: Path, cache_dir: Path, run_dir: Path) -> Plan:
    """Return the plan of a recipe; nothing is rendered, decoded or trained.

    Raises:
        RecipeError: For a stream, which has no end to plan for.
        DataError: For data that cannot be read.
    """
    dataset = recipe_dataset(recipe, base_dir, cache_dir, check_files=False)
    model = build_model(recipe)
    spec = sampling_of(recipe, model)
    prompter = Prompter(model.backbone)
    extra = recipe.latent.num_positions if recipe.latent is not None else 0
    triplets = dataset.splits[TRAIN]
    asked = [Clip(dataset.path(triplet), triplet.window) for triplet in triplets]
    visual = {
        clip: len(prompter.heads([_layout(recipe, dataset, clip, spec, model)])[0])
        for clip in dict.fromkeys(asked)
    }
    questions = prompter.questions([question_text(triplet) for triplet in triplets])
    answers = prompter.answers([triplet.answer for triplet in triplets])
    tokens = [
        visual[clip] + len(question) + len(answer) + extra
        for clip, question, answer in zip(asked, questions, answers, strict=True)
    ]
    longest = max(range(len(tokens)), key=tokens.__getitem__)
    source = open_source(recipe, model, cache_dir)
    clips = clips_of(dataset)
    cached = cache_status(source, clips, cache_dir).cached
    lengths = Lengths(visual, extra)
    feed = TripletFeed(dataset, source, recipe.training, live_frames=False, lengths=lengths)
    checkpoint = find_checkpoint(run_dir)
    per_batch = recipe.training.videos_per_batch * recipe.training.triplets_per_video
    width = 4 * model.backbone.dim
    shared = sum(tokens) / len(tokens) * per_batch
    if recipe.training.triplets_per_video > 1:
        prefix = sum(visual.values()) / len(visual)
        shared -= prefix * (per_batch - recipe.training.videos_per_batch)
    shared = float(recipe.training.tokens_per_batch or shared)
    return Plan(
        run_dir=run_dir,
        triplets=len(tokens),
        eval_triplets=sum(len(found) for found in dataset.evaluation.values()),
        videos=len({clip.path for clip in clips}),
        tokens=tokens,
        longest=triplets[longest].id,
        cache_bytes=round(sum(visual.values()) / len(visual) * len(clips) * width),
        cached_videos=cached,
        steps=feed.num_steps(recipe.training),
        steps_done=checkpoint.step if checkpoint is not None else 0,
        memory_bytes=_memory(model, shared),
        seconds_per_step=_seconds(model, shared * recipe.training.gradient_accumulation_steps),
    )


def _layout(
    recipe: Recipe, dataset: Dataset, clip: Clip, spec: SamplingSpec, model: VideoLatent
) -> Layout:
    """Return the visual tokens of a clip, from the file's header or EventWorld's own numbers."""
    if isinstance(recipe.data, EventWorldData):
        relative = clip.path.relative_to(dataset.media_root.resolve())
        world = make_world(relative.parts[0], int(relative.stem))
        duration, size = world.num_frames / FPS, (64, 64)
    else:
        info = probe(clip.path)
        duration, size = info.duration_seconds, info.size_px
    start, end = clip.window
    times = spec.times(duration, (start or 0.0, end or duration))
    return model.backbone.layout(times, *spec.frame_size(*size))


def _memory(model: VideoLatent, positions: float) -> int:
    """Return a rough peak: weights, gradients and Adam of what is trained, and activations."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    size = next(model.backbone.parameters()).element_size()
    channels = model.backbone.num_layers * model.backbone.dim
    return round(weights + 16 * trained + positions * channels * _ACTIVATION_FLOATS * size)


def _seconds(model: VideoLatent, positions: float) -> float:
    """Return a rough time of one optimizer step here: its multiply-adds over a measured rate."""
    side = 512
    a = torch.randn(side, side)
    started = time.perf_counter()
    for _ in range(8):
        a @ a
    rate = 8 * 2 * side**3 / (time.perf_counter() - started)
    parameters = sum(p.numel() for p in model.backbone.language_model.parameters())
    return float(6 * parameters * positions / rate)
