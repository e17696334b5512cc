"""`vl ask`: one question about one video, with the evidence frames."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.data.prompts import with_options
from videolatent_cli.errors import RecipeError, ResourceError
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.generate import generate, score_choices
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.documents import (
    Answer,
    LatentsDocument,
    ModelDocument,
    SamplingDocument,
)
from videolatent_cli.pipeline.evidence import evidence_sheet, group_weights, moments
from videolatent_cli.pipeline.models import TrainedModel, open_model
from videolatent_cli.store import FeatureCache
from videolatent_cli.video.probe import probe
from videolatent_cli.video.sheet import write_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.model.features import VideoFeatures
    from videolatent_cli.model.generate import LatentMode
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.store import Window


@dataclass(frozen=True)
class AskRequest:
    """A question and how to answer it."""

    video: Path
    question: str
    window: Window = (None, None)
    """Start and end of the part of the video that is meant (s)."""
    choices: tuple[str, ...] = ()
    latents: LatentMode = "on"
    num_evidence: int = 2
    sheet: Path | None = None
    """Where to write a contact sheet."""
    max_new_tokens: int = 32


def ask(request: AskRequest, run: Path | None, cache_dir: Path, device: str = "auto") -> Answer:
    """Return the answer document of one question.

    Args:
        request: What to ask.
        run: Run folder; None: the newest, else the embedded model.
        cache_dir: Folder of caches; used only if it is there.
        device: A torch device, or `auto`.

    Raises:
        VideoError: Where the video cannot be read.
        RecipeError: Where the request cannot be met.
    """
    start, end = request.window
    if start is not None and end is not None and end <= start:
        raise RecipeError(f"--to: must be after --from {start:g} s, got {end:g} s")
    if len(request.choices) == 1:
        raise RecipeError(f"--choices: needs two or more, got '{request.choices[0]}'")
    probe(request.video)  # what is wrong with the file is said before the model is loaded
    trained = open_model(run, device)
    return answer_question(trained, request, _existing_cache(cache_dir))


def _existing_cache(folder: Path) -> FeatureCache | None:
    """Return the cache of a folder if there is one; asking makes none."""
    return FeatureCache(folder) if (folder / "videos.lancedb").exists() else None


def answer_question(
    trained: TrainedModel, request: AskRequest, cache: FeatureCache | None
) -> Answer:
    """Return the answer of a model that is already loaded."""
    clip = Clip(request.video, request.window)
    source = trained.source(cache)
    features, cache_hit, seconds = _features(source, clip)
    prompter = Prompter(trained.model.backbone)
    text = with_options(request.question, request.choices) if request.choices else request.question
    batch = prompter.collate([features], [[Example(text, "")]])
    out = generate(
        trained.model,
        batch.to(trained.model.backbone.device),
        prompter.end_of_turn,
        latents=request.latents,
        max_new_tokens=request.max_new_tokens,
    )
    answer, letter, chances = prompter.decode(out.token_ids[0]), None, None
    if request.choices:
        scores = score_choices(trained.model, prompter, out, 0, request.choices)
        best = max(range(len(scores)), key=scores.__getitem__)
        letters = [chr(ord("A") + index) for index in range(len(scores))]
        answer, letter = request.choices[best], letters[best]
        chances = dict(zip(letters, scores, strict=True))
    weights = group_weights(out, features)
    evidence = moments(clip, features, weights, request.num_evidence) if weights else []
    if request.sheet is not None:
        title = f"{request.question}\n{answer}"
        write_sheet(evidence_sheet(trained, clip, title, weights or [], evidence), request.sheet)
    latent = trained.checkpoint.recipe.latent
    thought = out.rollout is not None
    return Answer(
        id=request.video.stem,
        question=request.question,
        answer=answer,
        choice=letter,
        choice_probs=chances,
        status="ok",
        evidence=evidence,
        sampling=SamplingDocument(
            hash=trained.checkpoint.sampling.hash, frames=len(features.pts_seconds)
        ),
        latents=LatentsDocument(
            mode="on" if thought else "off",
            blocks=latent.num_blocks if latent is not None and thought else 0,
            per_block=latent.latents_per_block if latent is not None and thought else 0,
        ),
        model=ModelDocument(
            run=trained.name,
            checkpoint=trained.checkpoint.folder.name,
            backbone=trained.checkpoint.recipe.backbone.model,
        ),
        seed=trained.checkpoint.recipe.training.seed,
        timing_seconds=seconds | out.seconds,
        cache_hit=cache_hit,
        warnings=_warnings(trained, prompter, text),
    )


def _features(source: VideoSource, clip: Clip) -> tuple[VideoFeatures, bool, dict[str, float]]:
    """Return a clip's features, whether they were cached, and what they took."""
    started = time.perf_counter()
    if source.cached(clip):
        features = source.features([clip])[0]
        return features, True, {"decode": 0.0, "features": time.perf_counter() - started}
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
    return features, False, seconds


def _warnings(trained: TrainedModel, prompter: Prompter, text: str) -> list[str]:
    """Return what the user should know before trusting the answer."""
    found = []
    unknown = prompter.unknown_words(text)
    if unknown:
        words = ", ".join(dict.fromkeys(unknown))
        found.append(f"the model does not know these words: {words}; do not trust the answer")
    if trained.embedded_backbone:
        found.append(
            "the embedded backbone has only ever seen EventWorld: small drawn objects that move; "
            "for other videos train a real backbone (vl init --backbone ID)"
        )
    return found
