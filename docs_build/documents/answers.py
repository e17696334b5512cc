"""Documents about answers."""

from typing import Literal

from pydantic import Field

from docs_build.documents.part import Part


class Evidence(Part):
    """One moment that an answer rests on. Times come from frames, never from generated text."""

    video: str
    """Path of the video."""
    video_id: str
    """Content id of the video: copies and renamed files share it."""
    start_seconds: float
    """Time of the first frame (s)."""
    end_seconds: float
    """Time of the last frame (s)."""
    frames_seconds: list[float]
    """Times of all frames of the moment (s)."""
    score: float
    """Share of the latents' attention on this moment, in [0, 1]."""
    source: Literal["latent", "vision", "text"]
    """Origin of the evidence; this version writes `latent`."""
    thumbnail: str | None
    """Reserved for a picture; this version writes null."""


class SamplingUsed(Part):
    """Sampling contract of an answer."""

    hash: str
    """Hash of the sampling contract."""
    frames: int
    """Number of frames that the model saw; 0 without an answer."""


class LatentsUsed(Part):
    """Latents of an answer."""

    mode: Literal["on", "off"]
    """Whether latents were used."""
    blocks: int
    """Number of rollout blocks; 0 with `off`."""
    per_block: int
    """Number of latents per block; 0 with `off`."""


class ModelUsed(Part):
    """Model of an answer."""

    run: str
    """Run folder, or `embedded`."""
    checkpoint: str
    """Name of the checkpoint's folder."""
    backbone: str
    """`backbone.model` of the recipe."""


class AnswerDocument(Part):
    """Answer to one question, printed by `vl ask --json`. Also each line that `vl batch` writes."""

    schema_: Literal["vl.answer/1"] = Field(alias="schema")
    id: str
    """Id of the question."""
    question: str
    """Text of the question."""
    answer: str
    """Text of the answer; of a question with choices, the text of the chosen one."""
    choice: str | None
    """Letter of the most likely choice; null without choices."""
    choice_probs: dict[str, float] | None
    """Probability of each choice by letter; null without choices."""
    status: Literal["ok", "not_found", "failed"]
    """`not_found`: the library contains no moment about the question. `failed`: the video cannot
    be read. The reason is in `warnings`."""
    evidence: list[Evidence]
    """Moments that the answer rests on."""
    sampling: SamplingUsed
    """Sampling contract of the answer."""
    latents: LatentsUsed
    """Latents of the answer."""
    model: ModelUsed
    """Model of the answer."""
    seed: int
    """`training.seed` of the recipe."""
    timing_seconds: dict[str, float]
    """Durations by step: `decode`, `features`, `prefill`, `latents`, `generate` (s). Questions that
    share a step share its duration. Empty without an answer."""
    cache_hit: bool
    """Whether the features came from the cache."""
    warnings: list[str]
    """Reasons to doubt the answer, or the reason why there is none."""


class BatchDocument(Part):
    """Result of answering a file of questions, printed by `vl batch --json`."""

    schema_: Literal["vl.batch/1"] = Field(alias="schema")
    asked: int
    """Number of questions that this command answered, including failed ones."""
    done_before: int
    """Number of questions that were answered before."""
    failed: int
    """Number of questions without an answer, including those of earlier runs."""
    out: str
    """File of answers."""
    seconds: float
    """Duration of the command (s)."""
