"""Answer documents: the JSON that other programs read, with its schema."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Evidence(_Document):
    """One moment of evidence: frames with high re-look attention."""

    video: str
    """Path of the video."""
    video_id: str
    """Content id of the video, the same for all copies of a file."""
    start_seconds: float
    """Time of the moment's first frame (s)."""
    end_seconds: float
    """Time of the moment's last frame (s)."""
    frames_seconds: list[float]
    """Time of each sampled frame of the moment (s)."""
    score: float
    """Share of the re-look attention that the moment receives, in [0, 1]."""
    source: Literal["latent", "vision", "text"]
    """Origin of the score. This version writes `latent` only: the re-look attention of latents."""
    thumbnail: str | None = None
    """Reserved; null in this version."""


class SamplingDocument(_Document):
    """Sampling contract of the model, and the frames sampled under it."""

    hash: str
    """Hash of the sampling contract."""
    frames: int
    """Number of frames that the model saw; 0 without an answer."""


class LatentsDocument(_Document):
    """Latents that the model computed before the answer."""

    mode: Literal["on", "off"]
    """`off` if the model answered without latents."""
    blocks: int
    """Number of blocks of latents, computed one after the other."""
    per_block: int
    """Number of latents per block, computed in parallel."""


class ModelDocument(_Document):
    """Model that gave the answer."""

    run: str
    """Run folder, or `embedded` for the embedded model."""
    checkpoint: str
    """Name of the checkpoint's folder."""
    backbone: str
    """Backbone as named in the recipe: a hub id, a folder, or `tiny`."""


class Answer(_Document):
    """Answer to one question: the JSON document `vl.answer/1`."""

    schema_: Literal["vl.answer/1"] = Field("vl.answer/1", alias="schema")
    id: str
    """Id of the question."""
    question: str
    answer: str
    """Text of the answer; empty if there is none."""
    choice: str | None = None
    """Letter of the most likely choice."""
    choice_probs: dict[str, float] | None = None
    """Probability of each choice, by letter; they sum to 1."""
    status: Literal["ok", "not_found", "failed"]
    """`not_found`: nothing in the library fits the question. `failed`: the video is unreadable."""
    evidence: list[Evidence]
    """Moments with the highest re-look attention; empty if the model did not use it."""
    sampling: SamplingDocument
    latents: LatentsDocument
    model: ModelDocument
    seed: int
    """Seed of the training run."""
    timing_seconds: dict[str, float]
    """Time (s) by stage: `decode`, `features`, `prefill`, `latents`, `generate`. Questions that
    were computed together share it equally."""
    cache_hit: bool
    """Whether the features came from the cache."""
    warnings: list[str]
    """Reasons for caution; without an answer, the reason why there is none."""
