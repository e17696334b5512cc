"""Questions about clips, answered: the one way from a clip's features to answer documents."""

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

_LEAST_CHANCE = 1e-30
"""Below this a probability counts as this, so that its logarithm is finite."""


@dataclass(frozen=True)
class Question:
    """One question about a clip."""

    id: str
    text: str
    choices: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """What the model reads."""
        return with_options(self.text, self.choices) if self.choices else self.text


@dataclass(frozen=True)
class AnswerOptions:
    """How answers are made."""

    latents: LatentMode = "on"
    num_evidence: int = 2
    max_new_tokens: int = 32


@dataclass(frozen=True)
class LoadedClip:
    """A pinned clip with its features, and what they took."""

    clip: Clip
    features: VideoFeatures
    cache_hit: bool
    seconds: dict[str, float]


@dataclass(frozen=True)
class Answered:
    """An answer, and how much each frame group was looked at; None without a re-look."""

    answer: Answer
    weights: list[float] | None
    log_likelihood: float
    """Mean over the answer's tokens (nats); of choices, that of the chosen one among them."""


def load_clip(source: VideoSource, clip: Clip) -> LoadedClip:
    """Return a clip's features, from the cache where it has them; new ones are kept there.

    Raises:
        VideoError: Where the video cannot be read.
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
        except ResourceError as error:
            logger.info("not kept in the cache: {}", error)
    return LoadedClip(clip, features, False, seconds)


def load_cached(
    source: VideoSource, clips: Sequence[Clip], decoded: Mapping[Clip, float] | None = None
) -> list[LoadedClip]:
    """Return clips whose features are all in the cache, read together.

    Args:
        source: Where from.
        clips: Which ones, pinned.
        decoded: Those that have just been put there, with the seconds that it took.
    """
    decoded = decoded or {}
    started = time.perf_counter()
    features = source.features(clips) if clips else []
    share = (time.perf_counter() - started) / max(len(clips), 1)
    return [
        LoadedClip(
            clip,
            found,
            clip not in decoded,
            {"decode": decoded.get(clip, 0.0), "features": share},
        )
        for clip, found in zip(clips, features, strict=True)
    ]


class Answerer:
    """Answers questions with one trained model; the questions of a clip share its prefix."""

    def __init__(self, trained: TrainedModel, options: AnswerOptions) -> None:
        self._trained = trained
        self._options = options
        self._prompter = Prompter(trained.model.backbone)

    def answer(self, clips: Sequence[tuple[LoadedClip, Sequence[Question]]]) -> list[Answered]:
        """Return the answers of some clips' questions, in order, computed together.

        The time of a step that questions share is divided among them.
        """
        examples = [[Example(q.prompt, "") for q in questions] for _, questions in clips]
        batch = self._prompter.collate([loaded.features for loaded, _ in clips], examples)
        model = self._trained.model
        out = generate(
            model,
            batch.to(model.backbone.device),
            self._prompter.end_of_turn,
            latents=self._options.latents,
            max_new_tokens=self._options.max_new_tokens,
        )
        rows = [(loaded, q, len(qs)) for loaded, qs in clips for q in qs]
        answered = []
        for row, (loaded, question, sharing) in enumerate(rows):
            seconds = {name: taken / sharing for name, taken in loaded.seconds.items()}
            seconds |= {name: taken / len(rows) for name, taken in out.seconds.items()}
            answered.append(self._document(out, row, loaded, question, seconds))
        return answered

    def _document(
        self,
        out: Generated,
        row: int,
        loaded: LoadedClip,
        question: Question,
        seconds: dict[str, float],
    ) -> Answered:
        """Return the answer of one row."""
        text, letter, chances = self._prompter.decode(out.token_ids[row]), None, None
        likelihood = out.log_likelihoods[row]
        if question.choices:
            scores = score_choices(self._trained.model, self._prompter, out, row, question.choices)
            best = max(range(len(scores)), key=scores.__getitem__)
            letters = [chr(ord("A") + index) for index in range(len(scores))]
            text, letter = question.choices[best], letters[best]
            chances = dict(zip(letters, scores, strict=True))
            likelihood = math.log(max(scores[best], _LEAST_CHANCE))
        weights = group_weights(out, loaded.features, row)
        count = self._options.num_evidence
        evidence = moments(loaded.clip, loaded.features, weights, count) if weights else []
        checkpoint = self._trained.checkpoint
        answer = Answer(
            id=question.id,
            question=question.text,
            answer=text,
            choice=letter,
            choice_probs=chances,
            status="ok",
            evidence=evidence,
            sampling=SamplingDocument(
                hash=checkpoint.sampling.hash, frames=len(loaded.features.pts_seconds)
            ),
            latents=self._latents(thought=out.rollout is not None),
            model=_model_document(self._trained),
            seed=checkpoint.recipe.training.seed,
            timing_seconds=seconds,
            cache_hit=loaded.cache_hit,
            warnings=self._warnings(question.prompt),
        )
        return Answered(answer, weights, likelihood)

    def _latents(self, *, thought: bool) -> LatentsDocument:
        """Return how the model thought."""
        latent = self._trained.checkpoint.recipe.latent
        if latent is None or not thought:
            return LatentsDocument(mode="off", blocks=0, per_block=0)
        blocks, per_block = latent.num_blocks, latent.latents_per_block
        return LatentsDocument(mode="on", blocks=blocks, per_block=per_block)

    def _warnings(self, text: str) -> list[str]:
        """Return what the user should know before trusting an answer."""
        found = []
        unknown = self._prompter.unknown_words(text)
        if unknown:
            words = ", ".join(dict.fromkeys(unknown))
            found.append(f"the model does not know these words: {words}; do not trust the answer")
        if self._trained.embedded_backbone:
            found.append(
                "the embedded backbone has only ever seen EventWorld: small drawn objects that "
                "move; for other videos train a real backbone (vl init --backbone ID)"
            )
        return found


def unanswered(
    trained: TrainedModel, question: Question, status: Literal["not_found", "failed"], reason: str
) -> Answer:
    """Return the document of a question without an answer."""
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
    """Return which model answers."""
    return ModelDocument(
        run=trained.name,
        checkpoint=trained.checkpoint.folder.name,
        backbone=trained.checkpoint.recipe.backbone.model,
    )
