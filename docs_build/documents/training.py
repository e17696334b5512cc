"""Documents about runs and checkpoints."""

from typing import Any, Literal

from pydantic import Field

from docs_build.documents.part import Part


class TrainDocument(Part):
    """Result of a training, printed by `vl train --json`."""

    schema_: Literal["vl.train/1"] = Field(alias="schema")
    run: str
    """Run folder."""
    checkpoint: str | None
    """Name of the last checkpoint's folder."""
    steps: int
    """Number of optimizer steps of the whole run."""
    steps_done_before: int
    """Number of steps that earlier calls did; equal to `steps` if nothing was left to do."""
    loss: float | None
    """Total loss of the last step; null if this call did no step."""
    parts: dict[str, float]
    """Parts of that loss before weighting: `answer`, and `alignment`, `diversity`, `bottleneck`
    where they are used."""
    seconds: float
    """Duration of the command (s)."""


class RunSummary(Part):
    """Progress of one run."""

    run: str
    """Run folder."""
    recipe_hash: str
    """Hash of the resolved recipe."""
    step: int
    """Step of the newest checkpoint; 0 without one."""
    total_steps: int
    """Number of steps of the whole run; 0 without a checkpoint."""


class RunsDocument(Part):
    """All runs below `runs/`, newest last, printed by `vl runs ls --json`."""

    schema_: Literal["vl.runs/1"] = Field(alias="schema")
    runs: list[RunSummary]
    """One object per run."""


class ProvenanceDocument(Part):
    """Origin of a run, stored as `provenance.json` in the run folder."""

    schema_: Literal["vl.provenance/1"] = Field(alias="schema")
    started: str
    """Time of the first start (ISO 8601, UTC)."""
    videolatent: str
    """Version of this package."""
    python: str
    """Version of Python."""
    platform: str
    """Operating system and processor."""
    packages: dict[str, str | None]
    """Version of each important package; null if it is not installed."""
    git: str | None
    """Commit of the working folder; null outside a repository."""
    command: list[str]
    """Command line."""
    overrides: list[str]
    """Overrides of the recipe on the command line, as `section.key=value`."""
    recipe_hash: str
    """Hash of the resolved recipe."""
    seed: int
    """`training.seed` of the recipe."""
    data_fingerprint: str
    """Hash of the training triplets."""
    base_dir: str
    """Folder to which the recipe's data paths are relative."""


class StepLine(Part):
    """One optimizer step: a line of the run's `log.jsonl`."""

    step: int
    """Number of steps done, including this one."""
    loss: float
    """Total loss: the weighted sum of the parts, mean over triplets."""
    parts: dict[str, float]
    """Each part of the loss before weighting, mean over triplets."""
    latents: dict[str, float]
    """Diagnostics of the latents of the last micro batch; empty without blocks of latents."""
    learning_rate: float
    """Learning rate of the backbone."""
    grad_norm: float
    """Norm of all gradients before clipping."""
    latent_grad_norm: float | None
    """Norm of the injection module's gradients before clipping; null without latents."""
    num_triplets: int
    """Number of triplets of the step."""
    num_tokens: int
    """Number of positions of the step."""
    seconds: float
    """Duration of the step (s)."""
    peak_memory_bytes: int
    """Largest memory since the start (bytes)."""


class RunDocument(Part):
    """Everything about one run, printed by `vl runs show`."""

    schema_: Literal["vl.run/1"] = Field(alias="schema")
    summary: RunSummary
    """Progress of the run."""
    recipe: dict[str, Any]
    """Resolved recipe: every field with its value, as in the recipe reference."""
    provenance: ProvenanceDocument
    """Origin of the run."""
    last_step: StepLine | None
    """Last line of the log; null before the first step."""


class RecipeDocument(Part):
    """Resolved recipe of a run, stored as `resolved.json` in the run folder."""

    schema_: Literal["vl.recipe/1"] = Field(alias="schema")
    recipe_hash: str
    """Hash of the resolved recipe."""
    recipe: dict[str, Any]
    """Resolved recipe: every field with its value, as in the recipe reference."""


class Resizing(Part):
    """Resizing of frames as the model's own processor does it."""

    filter: Literal["bilinear", "bicubic", "lanczos"]
    """Interpolation filter."""
    longest_side_px: int | None
    """Length of the longest side after a first resizing (px); null: one resizing only."""


class Sampling(Part):
    """Sampling contract: everything that decides which pixels of a video the model sees."""

    fps: float
    """Frames per second of presentation time."""
    min_frames: int
    """Smallest number of frames."""
    max_frames: int
    """Largest number of frames."""
    min_pixels: int
    """Smallest number of pixels per frame."""
    max_pixels: int
    """Largest number of pixels per frame."""
    resize: Literal["ffmpeg", "torch"]
    """Program that resizes."""
    size_multiple_px: int
    """Both sides of a frame are multiples of this (px)."""
    frames_per_group: int
    """Number of frames that the vision tower joins to one group."""
    frame_size_px: tuple[int, int] | None
    """Width and height of all frames, for backbones of one size (px); else null."""
    version: int
    """Version of the sampling rules."""
    resizing: Resizing | None = None
    """Resizing of frames; missing in checkpoints of early versions."""


class CheckpointDocument(Part):
    """Description of a checkpoint or exported model, stored beside it as `checkpoint.json`."""

    schema_: Literal["vl.checkpoint/1"] = Field(alias="schema")
    step: int
    """Number of steps done."""
    total_steps: int
    """Number of steps of the whole run."""
    recipe: dict[str, Any]
    """Resolved recipe. In an exported folder, `backbone.model` is `.`: the folder itself."""
    sampling: Sampling
    """Sampling contract of the training."""
    backbone_hash: str
    """Hash of the parameters that the checkpoint does not contain."""
    weights_file: str | None = None
    """File of the trained parameters; missing if it is `model.safetensors`."""
