"""`vl ask`: one question about one video, with the evidence frames."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.data.prompts import with_options
from videolatent_cli.errors import RecipeError, ResourceError
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.generate import Generated, generate, score_choices
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.documents import (
    Answer,
    Evidence,
    LatentsDocument,
    ModelDocument,
    SamplingDocument,
)
from videolatent_cli.pipeline.models import TrainedModel, open_model
from videolatent_cli.store import FeatureCache
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.probe import content_id, probe
from videolatent_cli.video.sheet import contact_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from videolatent_cli.model.features import VideoFeatures
    from videolatent_cli.model.generate import LatentMode
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.store import Window

_SHEET_PIXELS = 240 * 240
"""Pixels of a frame on a contact sheet."""


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
    batch = prompter.collate([features], [features.grid], [[Example(text, "")]])
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
    evidence = _evidence(request, features, weights) if weights is not None else []
    if request.sheet is not None:
        _write_sheet(request, trained, features, weights, evidence, answer)
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


def group_weights(out: Generated, features: VideoFeatures) -> list[float] | None:
    """Return how much the latents looked at each frame group; None without a re-look.

    Choice: the re-look attention averaged over heads, latents and blocks; it sums to 1.
    """
    if out.rollout is None or out.rollout.attention is None:
        return None
    looked = out.rollout.attention[0].mean(0)
    groups = features.grid[0]
    return [float(w) for w in looked.view(groups, -1).sum(1)] if looked.numel() else None


def _evidence(
    request: AskRequest, features: VideoFeatures, weights: Sequence[float]
) -> list[Evidence]:
    """Return the moments that were looked at most, in order of time."""
    best = sorted(range(len(weights)), key=lambda g: -weights[g])[: request.num_evidence]
    video_id = content_id(request.video)
    return [
        Evidence(
            video=str(request.video),
            video_id=video_id,
            start_seconds=times[0],
            end_seconds=times[-1],
            frames_seconds=times,
            score=weights[group],
            source="latent",
        )
        for group in sorted(best)
        for times in [_group_times(features, group)]
    ]


def _group_times(features: VideoFeatures, group: int) -> list[float]:
    """Return the times of the frames of a group (s)."""
    size = -(-len(features.pts_seconds) // features.grid[0])
    times = features.pts_seconds[group * size : (group + 1) * size]
    return [round(float(t), 6) for t in times]


def _write_sheet(
    request: AskRequest,
    trained: TrainedModel,
    features: VideoFeatures,
    weights: Sequence[float] | None,
    evidence: Sequence[Evidence],
    answer: str,
) -> None:
    """Write the contact sheet, from the file, at a size that people can look at."""
    assert request.sheet is not None
    spec = replace(
        trained.checkpoint.sampling, min_pixels=_SHEET_PIXELS // 2, max_pixels=_SHEET_PIXELS
    )
    frames = decode_frames(request.video, spec, request.window)
    times = [round(float(t), 6) for t in frames.pts_seconds]
    marked = [i for i, t in enumerate(times) if any(t in e.frames_seconds for e in evidence)]
    by_frame: list[float] = []
    if weights is not None:
        size = -(-len(times) // features.grid[0])
        by_frame = [weights[index // size] for index in range(len(times))]
    request.sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(frames, request.sheet, f"{request.question}\n{answer}", by_frame, marked)


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
