"""The JSON documents that other programs read; their schemas come from here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Evidence(_Document):
    """One moment that an answer rests on; times come from frames."""

    video: str
    video_id: str
    start_seconds: float
    end_seconds: float
    frames_seconds: list[float]
    score: float
    """Share of the re-look attention, in [0, 1]."""
    source: Literal["latent", "vision", "text"]
    thumbnail: str | None = None


class SamplingDocument(_Document):
    """The sampling contract that was used."""

    hash: str
    frames: int


class LatentsDocument(_Document):
    """How the model thought."""

    mode: Literal["on", "off"]
    blocks: int
    per_block: int


class ModelDocument(_Document):
    """Which model answered."""

    run: str
    checkpoint: str
    backbone: str


class Answer(_Document):
    """The answer document `vl.answer/1`."""

    schema_: Literal["vl.answer/1"] = Field("vl.answer/1", alias="schema")
    id: str
    question: str
    answer: str
    choice: str | None = None
    """Letter of the most likely choice."""
    choice_probs: dict[str, float] | None = None
    status: Literal["ok", "not_found", "failed"]
    evidence: list[Evidence]
    sampling: SamplingDocument
    latents: LatentsDocument
    model: ModelDocument
    seed: int
    timing_seconds: dict[str, float]
    cache_hit: bool
    warnings: list[str]
