"""Documents about evaluations, probes and benchmarks."""

from typing import Literal

from pydantic import Field

from docs_build.documents.part import Part


class AccuracyNumbers(Part):
    """Share of right answers."""

    right: int
    """Number of right answers."""
    total: int
    """Number of questions."""
    accuracy: float
    """Share of right answers, in [0, 1]."""
    low: float
    """Lower end of the 95 % Wilson interval."""
    high: float
    """Upper end of the 95 % Wilson interval."""


class DifferenceNumbers(Part):
    """Paired difference of A minus B on the same questions."""

    mean: float
    """Accuracy of A minus accuracy of B, in [-1, 1]."""
    low: float
    """Lower end of the 95 % bootstrap interval over videos."""
    high: float
    """Upper end of the 95 % bootstrap interval over videos."""
    only_a: int
    """Number of questions that only A answers rightly."""
    only_b: int
    """Number of questions that only B answers rightly."""
    p: float
    """Two-sided p-value of the exact McNemar test."""
    total: int
    """Number of questions."""


class EvalNumbers(AccuracyNumbers):
    """Accuracy with further counts."""

    strict: int
    """Number of answers that are right word for word."""
    unparsed: int
    """Number of answers that the scorer cannot read."""
    failed: int
    """Number of questions without an answer, since their videos cannot be read."""
    drop: DifferenceNumbers | None = None
    """Model as it is (A) minus this ablation (B); missing in `on`."""
    answer_kl: float | None = None
    """Mean KL divergence of the first answer token, from the model as it is to this ablation
    (nats); missing in `on`."""


class JudgedAnswer(Part):
    """One answer with its verdict."""

    id: str
    """Id of the triplet."""
    video: str
    """Path of the video below the media root."""
    category: list[str]
    """Categories of the triplet."""
    answer: str
    """Answer of the model; empty if the video cannot be read."""
    verdict: Literal["right", "wrong", "unparsed", "failed"]
    """Verdict on the answer."""
    right: bool
    """Whether the answer is right."""


class UnansweredQuestion(Part):
    """One question about a video that cannot be read."""

    split: str
    """Split of the triplet."""
    id: str
    """Id of the triplet."""
    video: str
    """Path of the video below the media root."""
    reason: str
    """Reason in one line."""


class EvalResult(Part):
    """Result of one split under one ablation."""

    all: EvalNumbers
    """Numbers over all questions."""
    by_category: dict[str, EvalNumbers]
    """Numbers over the questions of each category."""
    answers: list[JudgedAnswer]
    """All answers; questions about unreadable videos come last."""


class EvalDocument(Part):
    """Accuracy of a run, printed by `vl eval --json` and written by `vl eval -o`."""

    schema_: Literal["vl.eval/1"] = Field(alias="schema")
    run: str
    """Run folder, or `embedded`."""
    checkpoint: str
    """Name of the checkpoint's folder."""
    step: int
    """Step of the checkpoint."""
    interval_iou: float
    """Smallest intersection over union with which an answer of type `interval` is right."""
    failed: list[UnansweredQuestion]
    """Questions about unreadable videos. They count as not right, or are missing in `splits` if the
    run's recipe has `data.on_bad: skip`."""
    splits: dict[str, dict[str, EvalResult]]
    """Results by split, then by ablation. Ablation `on` is the model as it is."""


class Compared(Part):
    """Two models on the same questions."""

    a: AccuracyNumbers
    """Accuracy of A."""
    b: AccuracyNumbers
    """Accuracy of B."""
    difference: DifferenceNumbers
    """Accuracy of A minus accuracy of B."""


class CompareDocument(Part):
    """Comparison of two models, printed by `vl eval compare --json`."""

    schema_: Literal["vl.compare/1"] = Field(alias="schema")
    a: str
    """Run folder or evaluation file of A."""
    b: str
    """Run folder or evaluation file of B."""
    splits: dict[str, dict[str, Compared]]
    """Comparisons by split, then by category. Category `all` contains all questions."""


class ProbedFailure(Part):
    """One way in which latents fail, checked on this model."""

    code: str
    """Code of the failure mode, `F1` to `F12`."""
    failure: str
    """Name of the failure mode."""
    measured: dict[str, float]
    """Measurements that decide it, by name; empty if the model has nothing to measure."""
    alarm: bool | None
    """Whether the alarm is raised; null if it was not measured."""
    alarm_when: str
    """Condition of the alarm, in words."""
    remedy: str
    """Change to the recipe or the data that helps."""


class ProbeDocument(Part):
    """Diagnostics of a model's latents, printed by `vl probe --json`."""

    schema_: Literal["vl.probe/1"] = Field(alias="schema")
    run: str
    """Run folder, or `embedded`."""
    split: str
    """Split that was measured."""
    questions: int
    """Number of questions."""
    measured: dict[str, float]
    """All measurements by name."""
    diagnostics: list[ProbedFailure]
    """One object per failure mode."""
    words: list[list[str]]
    """Most likely words at each latent's position, averaged over questions."""


class AnswerCost(Part):
    """Cost of one answer to one question."""

    sequential_steps: int
    """Number of forward passes after the prefill of the video, each waiting for the one before."""
    prefill_seconds: float
    """Duration of the prefill (s)."""
    seconds: float
    """Duration of the whole answer; features of the video are given (s)."""
    tokens_per_second: float
    """Number of generated tokens per second."""
    multiply_adds: float
    """Multiply-adds of matrix products and attention."""
    peak_memory_bytes: int | None
    """Peak memory of the GPU (bytes); null on a CPU."""


class StepCost(Part):
    """Cost of one training step per triplet."""

    seconds: float
    """Duration (s)."""
    multiply_adds: float
    """Multiply-adds of matrix products and attention."""
    peak_memory_bytes: int | None
    """Peak memory of the GPU (bytes); null on a CPU."""


class BenchDocument(Part):
    """Cost of answering and training in several ways, printed by `vl bench --json`."""

    schema_: Literal["vl.bench/1"] = Field(alias="schema")
    device: str
    """Name of the GPU, or `cpu`."""
    backbone: str
    """`backbone.model` of the recipe."""
    visual_tokens: int
    """Number of visual tokens of the video."""
    parameters: int
    """Number of parameters of the backbone."""
    trace_tokens: int
    """Length of a chain of thought."""
    question_tokens: int
    """Length of a question."""
    answer_tokens: int
    """Length of an answer."""
    sampled_traces: int
    """Number of traces that a GRPO-style step samples per question."""
    answers: dict[str, AnswerCost]
    """Costs by way of answering: `direct`, `latents`, `chain of thought`."""
    steps: dict[str, StepCost]
    """Costs by kind of training step."""
