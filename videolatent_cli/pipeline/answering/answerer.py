"""Answer questions about clips: from a clip's features to answer documents.

All commands that answer questions use this module.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loguru import logger

from videolatent_cli.data.triplets import with_options
from videolatent_cli.errors import ResourceError
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.generate import generate, score_choices
from videolatent_cli.pipeline.answering.answer import (
    Answer,
    LatentsDocument,
    ModelDocument,
    SamplingDocument,
)
from videolatent_cli.pipeline.answering.evidence import group_weights, moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.model.generate import Generated, LatentMode
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.runs.trained_model import TrainedModel
    from videolatent_cli.video.clip import Clip

_LEAST_PROBABILITY = 1e-30
"""Lower bound of a probability before its logarithm is taken, so that the logarithm is finite."""


@dataclass(frozen=True)
class Question:
    """Question to ask about a clip."""

    id: str
    text: str
    choices: tuple[str, ...] = ()
    """Possible answers; empty: the model writes its own answer."""

    @property
    def prompt(self) -> str:
        """Text that the model reads: the question, with its choices if there are any."""
        return with_options(self.text, self.choices) if self.choices else self.text


@dataclass(frozen=True)
class AnswerOptions:
    """Options of answering."""

    latents: LatentMode = "on"
    """Latents to compute before the answer: `on`, `off`, or `markers` alone."""
    num_evidence: int = 2
    """Maximum number of evidence moments per answer."""
    max_new_tokens: int = 32
    """Maximum number of tokens per answer."""


@dataclass(frozen=True)
class LoadedClip:
    """Pinned clip with its features, and the time to load them."""

    clip: Clip
    features: VideoFeatures
    cache_hit: bool
    """Whether the features came from the cache."""
    seconds: dict[str, float]
    """Time (s) by stage: `decode` and `features`."""


@dataclass(frozen=True)
class Answered:
    """Question that was answered: its answer document, and numbers to combine answers with."""

    answer: Answer
    weights: list[float] | None
    """Re-look attention of each frame group; None if the model has no re-look."""
    log_likelihood: float
    """Log-likelihood of the answer (nats): the mean over its tokens, or with choices the logarithm
    of the chosen one's probability."""


def load_clip(source: VideoSource, clip: Clip) -> LoadedClip:
    """Return a clip with its features, from the cache if possible; new features are cached.

    Raises:
        VideoError: If the video cannot be read.
    """
    started = time.perf_counter()
    clip = clip.pinned()
    if source.cached(clip):
        features = source.features([clip])[0]
        seconds = {"decode": 0.0, "features": time.perf_counter() - started}
        return LoadedClip(clip, features, True, seconds)
    frames = source.decode(clip)
    decoded = time.perf_counter()
    features = source.encode(frames)
    seconds = {"decode": decoded - started, "features": time.perf_counter() - decoded}
    if source.cache is not None:
        try:
            with source.cache.writer() as writer:
                writer.put(source.row(clip, frames))
        except ResourceError as error:  # the answer does not need the cache
            logger.info("features are not cached: {}", error)
    return LoadedClip(clip, features, False, seconds)


def load_cached(
    source: VideoSource, clips: Sequence[Clip], decoded: Mapping[Clip, float] | None = None
) -> list[LoadedClip]:
    """Return clips with their features, which must all be in the cache and are read together.

    Args:
        source: Video source with the cache.
        clips: Pinned clips to load.
        decoded: Clips that were encoded just before, with the time that each took (s).
    """
    decoded = decoded or {}
    started = time.perf_counter()
    features = source.features(clips) if clips else []
    share = (time.perf_counter() - started) / max(len(clips), 1)
    return [
        LoadedClip(
            clip,
            clip_features,
            clip not in decoded,
            {"decode": decoded.get(clip, 0.0), "features": share},
        )
        for clip, clip_features in zip(clips, features, strict=True)
    ]


class Answerer:
    """Trained model that answers questions; the questions of a clip share its prefill."""

    def __init__(self, trained: TrainedModel, options: AnswerOptions) -> None:
        self._trained = trained
        self._options = options
        self._prompter = Prompter(trained.model.backbone)

    def answer(self, clips: Sequence[tuple[LoadedClip, Sequence[Question]]]) -> list[Answered]:
        """Return the answers to the questions of some clips, in order, computed as one batch.

        The time of a stage that questions share is divided equally among them.
        """
        examples = [[Example(q.prompt, "") for q in questions] for _, questions in clips]
        batch = self._prompter.collate([loaded.features for loaded, _ in clips], examples)
        model = self._trained.model
        generated = generate(
            model,
            batch.to(model.backbone.device),
            self._prompter.end_of_turn,
            latents=self._options.latents,
            max_new_tokens=self._options.max_new_tokens,
        )
        # One row per question; loading a clip is shared by its questions, the rest by all rows.
        rows = [(loaded, q, len(questions)) for loaded, questions in clips for q in questions]
        answered = []
        for row, (loaded, question, num_sharing) in enumerate(rows):
            seconds = {stage: total / num_sharing for stage, total in loaded.seconds.items()}
            seconds |= {stage: total / len(rows) for stage, total in generated.seconds.items()}
            answered.append(self._answered(generated, row, loaded, question, seconds))
        return answered

    def _answered(
        self,
        generated: Generated,
        row: int,
        loaded: LoadedClip,
        question: Question,
        seconds: dict[str, float],
    ) -> Answered:
        """Return the answer to the question of one row."""
        text, letter, by_letter = self._prompter.decode(generated.token_ids[row]), None, None
        likelihood = generated.log_likelihoods[row]
        if question.choices:
            probabilities = score_choices(
                self._trained.model, self._prompter, generated, row, question.choices
            )
            best = max(range(len(probabilities)), key=probabilities.__getitem__)
            letters = [chr(ord("A") + index) for index in range(len(probabilities))]
            text, letter = question.choices[best], letters[best]
            by_letter = dict(zip(letters, probabilities, strict=True))
            likelihood = math.log(max(probabilities[best], _LEAST_PROBABILITY))
        weights = group_weights(generated, loaded.features, row)
        count = self._options.num_evidence
        evidence = moments(loaded.clip, loaded.features, weights, count) if weights else []
        checkpoint = self._trained.checkpoint
        answer = Answer(
            id=question.id,
            question=question.text,
            answer=text,
            choice=letter,
            choice_probs=by_letter,
            status="ok",
            evidence=evidence,
            sampling=SamplingDocument(
                hash=checkpoint.sampling.hash, frames=len(loaded.features.pts_seconds)
            ),
            latents=self._latents(used=generated.rollout is not None),
            model=_model_document(self._trained),
            seed=checkpoint.recipe.training.seed,
            timing_seconds=seconds,
            cache_hit=loaded.cache_hit,
            warnings=self._warnings(question.prompt),
        )
        return Answered(answer, weights, likelihood)

    def _latents(self, *, used: bool) -> LatentsDocument:
        """Return the latents of an answer, as a document."""
        latent = self._trained.checkpoint.recipe.latent
        if latent is None or not used:
            return LatentsDocument(mode="off", blocks=0, per_block=0)
        blocks, per_block = latent.num_blocks, latent.latents_per_block
        return LatentsDocument(mode="on", blocks=blocks, per_block=per_block)

    def _warnings(self, text: str) -> list[str]:
        """Return reasons not to trust an answer, each as a sentence."""
        warnings = []
        unknown = self._prompter.unknown_words(text)
        if unknown:
            words = ", ".join(dict.fromkeys(unknown))
            warnings.append(
                f"the model does not know these words: {words}; do not trust the answer"
            )
        if self._trained.embedded_backbone:
            warnings.append(
                "the embedded backbone has only ever seen EventWorld: small drawn objects that "
                "move; for other videos train a real backbone (vl init --backbone ID)"
            )
        return warnings


def unanswered(
    trained: TrainedModel, question: Question, status: Literal["not_found", "failed"], reason: str
) -> Answer:
    """Return the document of a question without an answer; its warning is the reason."""
    return Answer(
        id=question.id,
        question=question.text,
        answer="",
        status=status,
        evidence=[],
        sampling=SamplingDocument(hash=trained.checkpoint.sampling.hash, frames=0),
        latents=LatentsDocument(mode="off", blocks=0, per_block=0),
        model=_model_document(trained),
        seed=trained.checkpoint.recipe.training.seed,
        timing_seconds={},
        cache_hit=False,
        warnings=[reason],
    )


def _model_document(trained: TrainedModel) -> ModelDocument:
    """Return the description of a model, as a document."""
    return ModelDocument(
        run=trained.name,
        checkpoint=trained.checkpoint.folder.name,
        backbone=trained.checkpoint.recipe.backbone.model,
    )
