"""`vl plan`: what a recipe will cost, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from videolatent_cli.data.dataset import TRAIN
from videolatent_cli.data.eventworld import FPS, make_world
from videolatent_cli.model.backbones.load import check_device
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.checkpoint import find_checkpoint
from videolatent_cli.model.load import build_model, sampling_of
from videolatent_cli.pipeline.prepare import cache_status, clips_of, open_source, recipe_dataset
from videolatent_cli.recipe.data_schema import EventWorldData
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.estimate import estimated_seconds, measured_seconds, step_bytes
from videolatent_cli.training.feed import TripletFeed
from videolatent_cli.training.groups import Lengths, as_example, group_lengths, make_groups
from videolatent_cli.training.metrics import peak_memory_bytes
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.info import read_info

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.data.dataset import Dataset
    from videolatent_cli.model.backbones.features import Layout
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe
    from videolatent_cli.recipe.schema import Training
    from videolatent_cli.training.groups import Group
    from videolatent_cli.video.clip import Clip

_BINS = 8
HEAP_OVERHEAD = 1.45
"""Memory of a process over that of its tensors. Choice: what a CPU's allocator does not give back
between operations (docs/results.md, "Memory"); on a GPU only tensors are counted."""
MAX_TIMED_BYTES = 4e9
"""Memory up to which a plan times real steps. Choice: small models take their time for other things
than arithmetic; for larger ones a plan must not cost what a training costs."""


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
    """Peak of the largest micro batch that may come: on a GPU what is allocated there, else what
    the whole process takes."""
    device: str
    """Where it would be trained."""
    seconds_per_step: float

    @property
    def steps_left(self) -> int:
        """Steps that a run still takes; none where it already has more."""
        return max(0, self.steps - self.steps_done)

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
            "device": self.device,
            "estimated_seconds": self.seconds_per_step * self.steps_left,
        }

    def text(self) -> str:
        """Return the plan for people."""
        lines = [
            f"triplets   {self.triplets} for training, {self.eval_triplets} for evaluation",
            f"videos     {self.videos}, {self.cached_videos} of them cached",
            f"tokens     {min(self.tokens)}-{max(self.tokens)} a triplet, longest {self.longest}",
            *(f"           {low:>6}-{high:<6} {'#' * round(40 * share)} {count}"
              for low, high, count, share in histogram(self.tokens)),
            f"cache      {self.cache_bytes / 1e6:.1f} MB when complete",
            f"memory     about {self.memory_bytes / 1e9:.2f} GB at its peak, on {self.device}",
            f"steps      {self.steps}, {self.steps_done} done",
            f"time       about {self.seconds_per_step * self.steps_left:.0f} s for "
            f"{self.steps_left} steps on this machine's {self.device} (rough)",
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


@dataclass(frozen=True)
class PlanRequest:
    """Which recipe to plan."""

    recipe: Recipe
    base_dir: Path
    """Folder of the recipe file; data paths are relative to it."""
    run_dir: Path
    """Where the run would be kept; steps done there are subtracted."""


def plan_recipe(request: PlanRequest, machine: Machine = Machine()) -> Plan:
    """Return the plan of a recipe; nothing is rendered or decoded, no run is begun.

    Raises:
        RecipeError: For a stream, which has no end to plan for.
        DataError: For data that cannot be read.
    """
    recipe, cache_dir = request.recipe, machine.cache_dir
    dataset = recipe_dataset(recipe, request.base_dir, cache_dir, check_files=False)
    model = build_model(recipe, check_device(machine.device))
    extra = recipe.latent.num_positions if recipe.latent is not None else 0
    singles = make_groups(dataset, TRAIN, triplets_per_video=1)
    groups = make_groups(dataset, TRAIN, recipe.training.triplets_per_video)
    shapes = _shapes(recipe, dataset, model, [group.clip for group in groups])
    prompter = Prompter(model.backbone)
    heads = prompter.video_prompts([shape.layout for shape in shapes.values()])
    lengths = Lengths(dict(zip(shapes, map(len, heads), strict=True)), extra)
    tokens = group_lengths(singles, lengths, prompter)
    sizes = group_lengths(groups, lengths, prompter)
    source = open_source(recipe, model, cache_dir)
    clips = clips_of(dataset)
    feed = TripletFeed(dataset, source, recipe.training, live_frames=False, lengths=lengths)
    checkpoint = find_checkpoint(request.run_dir)
    head = sum(lengths.head.values()) / len(lengths.head)
    largest = max(range(len(groups)), key=sizes.__getitem__)
    shape = shapes[groups[largest].clip]
    worst = _WorstBatch(recipe, model, shape, groups[largest], sizes[largest])
    device = model.backbone.device
    loaded_bytes = peak_memory_bytes(device)
    length = shape.layout.grid[0]
    step = step_bytes(model, recipe, worst.with_frame_groups, length)
    memory = loaded_bytes + (step if device.type == "cuda" else round(HEAP_OVERHEAD * step))
    positions = _positions(recipe.training, sizes)
    if memory <= MAX_TIMED_BYTES:
        share = positions / (worst.count * worst.positions)
        seconds = share * measured_seconds(model, recipe, worst.with_frame_groups(length))
    else:
        seconds = estimated_seconds(model, positions)
    return Plan(
        run_dir=request.run_dir,
        triplets=len(tokens),
        eval_triplets=sum(len(found) for found in dataset.evaluation.values()),
        videos=len({clip.path for clip in clips}),
        tokens=tokens,
        longest=singles[max(range(len(tokens)), key=tokens.__getitem__)].triplets[0].id,
        cache_bytes=round(head * len(clips) * 4 * model.backbone.dim),
        cached_videos=cache_status(source, clips, cache_dir).cached,
        steps=feed.num_steps(recipe.training),
        steps_done=checkpoint.step if checkpoint is not None else 0,
        memory_bytes=memory,
        device=device.type,
        seconds_per_step=seconds,
    )


def _positions(training: Training, sizes: list[int]) -> float:
    """Return the positions of a mean optimizer step, from those of each video's triplets."""
    batch = training.tokens_per_batch or training.videos_per_batch * sum(sizes) / len(sizes)
    return float(batch * training.gradient_accumulation_steps)


@dataclass(frozen=True)
class _Shape:
    """What a clip's frames are."""

    layout: Layout
    size_px: tuple[int, int]
    """Of the resized frames."""


def _shapes(
    recipe: Recipe, dataset: Dataset, model: VideoLatent, clips: list[Clip]
) -> dict[Clip, _Shape]:
    """Return the shape of each clip, from the file's header or EventWorld's own numbers."""
    spec = sampling_of(recipe, model)
    shapes = {}
    for clip in dict.fromkeys(clips):
        if isinstance(recipe.data, EventWorldData):
            relative = clip.path.relative_to(dataset.media_root.resolve())
            world = make_world(relative.parts[0], int(relative.stem))
            duration, size = world.num_frames / FPS, (64, 64)
        else:
            info = read_info(clip.path)
            duration, size = info.duration_seconds, info.size_px
        start, end = clip.window
        times = spec.times(duration, (start or 0.0, end or duration))
        size = spec.frame_size(*size)
        shapes[clip] = _Shape(model.backbone.layout(times, *size), size)
    return shapes


@dataclass(frozen=True)
class _WorstBatch:
    """A micro batch of copies of the video and triplets that take most positions."""

    recipe: Recipe
    model: VideoLatent
    shape: _Shape
    group: Group
    positions: int
    """Of the group."""

    @property
    def count(self) -> int:
        """Number of copies."""
        if self.recipe.training.tokens_per_batch is None:
            return self.recipe.training.videos_per_batch
        return self.recipe.training.tokens_per_batch // self.positions

    def with_frame_groups(self, groups: int) -> Batch:
        """Return the batch with black videos of so many frame groups in place of the group's."""
        backbone, count = self.model.backbone, self.count
        width, height = self.shape.size_px
        frames = groups * backbone.geometry.frames_per_group
        black = np.zeros((frames, height, width, 3), dtype=np.uint8)
        video = FrameBatch(black, np.arange(frames) / self.recipe.video.fps)
        examples = [[as_example(triplet) for triplet in self.group.triplets]] * count
        prompter = Prompter(backbone)
        if self.recipe.backbone.train_vision:
            return prompter.collate([video] * count, examples).to(backbone.device)
        with torch.no_grad():
            features = backbone.encode_video(video)
        return prompter.collate([features] * count, examples).to(backbone.device)
