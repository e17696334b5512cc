"""`vl plan`: estimate the cost of training a recipe, before anything runs."""

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
from videolatent_cli.pipeline.prepare import (
    cache_status,
    clips_of,
    left_out_parts,
    open_source,
    recipe_dataset,
)
from videolatent_cli.recipe.data_schema import EventWorldData
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.estimate import estimated_seconds, measured_seconds, step_bytes
from videolatent_cli.training.feed import TripletFeed
from videolatent_cli.training.groups import Lengths, as_example, group_lengths, make_groups
from videolatent_cli.training.metrics import peak_memory_bytes
from videolatent_cli.video.clip import window_bounds
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
"""Number of bins of the histogram of tokens."""
HEAP_OVERHEAD = 1.45
"""Factor from the estimated tensor memory of a step to the memory that a CPU process takes for it.

Choice: the CPU allocator does not return all freed memory between operations
(docs/results/performance.md, "Memory"). On a GPU only tensors are counted, without this factor."""
MAX_TIMED_BYTES = 4e9
"""Estimated peak memory up to which a plan times real training steps; above, it estimates the time
from the number of operations.

Choice: a small model spends most of its time on other things than arithmetic, so it is timed. A
large model is not, because a plan must cost much less than a training."""


@dataclass(frozen=True)
class Plan:
    """Cost of training a recipe. Memory and time are estimates."""

    run_dir: Path
    triplets: int
    """Number of training triplets."""
    eval_triplets: int
    """Number of triplets in all evaluation splits."""
    videos: int
    """Number of different video files."""
    tokens: list[int]
    """Number of positions of each training triplet: video, question, latents and answer."""
    longest: str
    """Id of the triplet with the most tokens."""
    cache_bytes: int
    """Estimated size of the feature cache when it is complete."""
    cached_videos: int
    """Number of clips that are in the cache already."""
    steps: int
    """Number of optimizer steps of the whole training."""
    steps_done: int
    """Number of steps that the run folder's newest checkpoint has done."""
    memory_bytes: int
    """Estimated peak memory of the largest micro batch that may occur. On a GPU this is the memory
    allocated there, on a CPU the memory of the process."""
    device: str
    """Type of the device to train on: `cpu` or `cuda`."""
    seconds_per_step: float
    """Estimated time per optimizer step (s)."""

    @property
    def steps_left(self) -> int:
        """Number of steps still to do; 0 if the run has done as many or more."""
        return max(0, self.steps - self.steps_done)

    def document(self) -> dict[str, Any]:
        """Return the plan as the JSON document `vl.plan/1`."""
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
        """Return the plan as readable lines."""
        lines = [
            f"triplets   {self.triplets} for training, {self.eval_triplets} for evaluation",
            f"videos     {self.videos}, {self.cached_videos} of them cached",
            f"tokens     {min(self.tokens)}-{max(self.tokens)} per triplet, longest {self.longest}",
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
    """Return (lowest, highest, count, share) of up to 8 bins of equal width, without empty bins."""
    low, high = min(values), max(values)
    width = max(1, -(-(high - low + 1) // _BINS))  # rounded up, so that 8 bins reach the highest
    rows = []
    for start in range(low, high + 1, width):
        count = sum(start <= value < start + width for value in values)
        if count:
            rows.append((start, start + width - 1, count, count / len(values)))
    return rows


@dataclass(frozen=True)
class PlanRequest:
    """Recipe to plan, and the run folder that it would use."""

    recipe: Recipe
    base_dir: Path
    """Folder of the recipe file; data paths are relative to it."""
    run_dir: Path
    """Folder of the run; steps done there are subtracted."""


def plan_recipe(request: PlanRequest, machine: Machine = Machine()) -> Plan:
    """Return the plan of a recipe, without rendering, decoding or starting a run.

    Raises:
        RecipeError: For a stream, which has no end to plan for.
        DataError: For data that cannot be read.
    """
    recipe, cache_dir = request.recipe, machine.cache_dir
    dataset = recipe_dataset(recipe, request.base_dir, cache_dir, check_files=False)
    dataset = left_out_parts(recipe, dataset)
    model = build_model(recipe, check_device(machine.device))
    latent_positions = recipe.latent.num_positions if recipe.latent is not None else 0
    # Tokens are reported per triplet; memory and time depend on groups that share a video.
    singles = make_groups(dataset, TRAIN, triplets_per_video=1)
    groups = make_groups(dataset, TRAIN, recipe.training.triplets_per_video)
    shapes = _shapes(recipe, dataset, model, [group.clip for group in groups])
    prompter = Prompter(model.backbone)
    video_prompts = prompter.video_prompts([shape.layout for shape in shapes.values()])
    lengths = Lengths(dict(zip(shapes, map(len, video_prompts), strict=True)), latent_positions)
    tokens = group_lengths(singles, lengths, prompter)
    group_sizes = group_lengths(groups, lengths, prompter)
    source = open_source(recipe, model, cache_dir)
    clips = clips_of(dataset)
    feed = TripletFeed(dataset, source, recipe.training, live_frames=False, lengths=lengths)
    checkpoint = find_checkpoint(request.run_dir)
    mean_prompt = sum(lengths.video_prompts.values()) / len(lengths.video_prompts)
    largest = max(range(len(groups)), key=group_sizes.__getitem__)
    shape = shapes[groups[largest].clip]
    worst = _WorstBatch(recipe, model, shape, groups[largest], group_sizes[largest])
    device = model.backbone.device
    loaded_bytes = peak_memory_bytes(device)  # peak so far: weights, on a CPU the whole process
    frame_groups = shape.layout.grid[0]
    step = step_bytes(model, recipe, worst.with_frame_groups, frame_groups)
    memory = loaded_bytes + (step if device.type == "cuda" else round(HEAP_OVERHEAD * step))
    positions = _positions(recipe.training, group_sizes)
    if memory <= MAX_TIMED_BYTES:
        # The time of the worst micro batch, scaled to the positions of a mean optimizer step.
        share = positions / (worst.count * worst.positions)
        seconds = share * measured_seconds(model, recipe, worst.with_frame_groups(frame_groups))
    else:
        seconds = estimated_seconds(model, positions)
    return Plan(
        run_dir=request.run_dir,
        triplets=len(tokens),
        eval_triplets=sum(len(triplets) for triplets in dataset.evaluation.values()),
        videos=len({clip.path for clip in clips}),
        tokens=tokens,
        longest=singles[max(range(len(tokens)), key=tokens.__getitem__)].triplets[0].id,
        # One float32 vector per position; the prompt's few text tokens are counted too.
        cache_bytes=round(mean_prompt * len(clips) * 4 * model.backbone.dim),
        cached_videos=cache_status(source, clips, cache_dir).cached,
        steps=feed.num_steps(recipe.training),
        steps_done=checkpoint.step if checkpoint is not None else 0,
        memory_bytes=memory,
        device=device.type,
        seconds_per_step=seconds,
    )


def _positions(training: Training, group_sizes: list[int]) -> float:
    """Return the number of positions of a mean optimizer step, from those of each group."""
    mean_size = sum(group_sizes) / len(group_sizes)
    batch = training.tokens_per_batch or training.videos_per_batch * mean_size
    return float(batch * training.gradient_accumulation_steps)


@dataclass(frozen=True)
class _Shape:
    """Shape of a clip's sampled frames."""

    layout: Layout
    """Grid of visual tokens, and the times of the frames."""
    size_px: tuple[int, int]
    """Width and height of the resized frames."""


def _shapes(
    recipe: Recipe, dataset: Dataset, model: VideoLatent, clips: list[Clip]
) -> dict[Clip, _Shape]:
    """Return the shape of each clip, from the file's header; EventWorld files may not exist yet."""
    spec = sampling_of(recipe, model)
    shapes = {}
    for clip in dict.fromkeys(clips):
        if isinstance(recipe.data, EventWorldData):
            # The path SPLIT/INDEX.mp4 names the world, so its length is known without it.
            relative = clip.path.relative_to(dataset.media_root.resolve())
            world = make_world(relative.parts[0], int(relative.stem))
            duration, size = world.num_frames / FPS, (64, 64)
        else:
            info = read_info(clip.path)
            duration, size = info.duration_seconds, info.size_px
        times = spec.times(duration, window_bounds(clip.path, clip.window, duration))
        size = spec.frame_size(*size)
        shapes[clip] = _Shape(model.backbone.layout(times, *size, duration), size)
    return shapes


@dataclass(frozen=True)
class _WorstBatch:
    """Micro batch that repeats the group with the most positions: the largest that may occur."""

    recipe: Recipe
    model: VideoLatent
    shape: _Shape
    """Shape of the group's clip."""
    group: Group
    """Clip and triplets to repeat."""
    positions: int
    """Number of positions of the group."""

    @property
    def count(self) -> int:
        """Number of copies of the group: as many as the recipe's batch size allows."""
        if self.recipe.training.tokens_per_batch is None:
            return self.recipe.training.videos_per_batch
        return self.recipe.training.tokens_per_batch // self.positions

    def with_frame_groups(self, groups: int) -> Batch:
        """Return the batch with black videos of a number of frame groups instead of the clip.

        The length varies, because `step_bytes` measures short videos and extrapolates.
        """
        backbone, count = self.model.backbone, self.count
        width, height = self.shape.size_px
        frames = groups * backbone.geometry.frames_per_group
        black = np.zeros((frames, height, width, 3), dtype=np.uint8)
        video = FrameBatch(black, np.arange(frames) / self.recipe.video.fps)
        examples = [[as_example(triplet) for triplet in self.group.triplets]] * count
        prompter = Prompter(backbone)
        # A trained vision tower reads frames inside the step, a frozen one ran before it.
        if self.recipe.backbone.train_vision:
            return prompter.collate([video] * count, examples).to(backbone.device)
        with torch.no_grad():
            features = backbone.encode_video(video)
        return prompter.collate([features] * count, examples).to(backbone.device)
