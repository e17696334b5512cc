"""The segments of a library: what is seen in a part of a video, said, and written of its file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.source import VideoSource
from videolatent_cli.pipeline.library.describe import EMBEDDED_PROMPTS, PROMPTS, Describer
from videolatent_cli.pipeline.library.transcripts import Caption, transcript_between
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.store.library_rows import FileRow, SegmentRow
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.info import read_info

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.pipeline.library.embedders.base import Embedder

_AT_ONCE = 16
_NO_VECTOR = np.zeros(0, np.float32)


@dataclass(frozen=True)
class SegmentJob:
    """A part of a file that becomes a segment."""

    row: FileRow
    clip: Clip
    lines: tuple[Caption, ...]
    """Subtitles of the whole file."""


def prompts_of(trained: TrainedModel) -> tuple[str, ...]:
    """Return how the backbone is asked to describe a video."""
    return EMBEDDED_PROMPTS if trained.embedded_backbone else PROMPTS


def describing_backbone(trained: TrainedModel, device: str) -> Backbone:
    """Return the backbone that describes videos: as it was before it was trained on questions.

    Choice: a language model that was trained as a whole on short answers no longer lists what it
    sees; one with LoRA, or one whose vision tower was trained too, serves as it is.
    """
    recipe = trained.checkpoint.recipe.backbone
    if recipe.train == "full" and not recipe.train_vision:
        return load_backbone(recipe, device)
    return trained.model.backbone


def describe_file(path: Path, run: Path | None, device: str) -> str:
    """Return what a run's backbone sees in a video or picture file.

    Raises:
        VideoError: Where it cannot be read.
    """
    read_info(path)
    trained = open_model(run, device)
    source = trained.source()
    features = source.encode(source.decode(Clip(path)))
    backbone = describing_backbone(trained, str(trained.model.backbone.device))
    return Describer(backbone, prompts_of(trained)).describe([features])[0]


class SegmentAssembler:
    """Makes segments from features that are in the cache."""

    def __init__(self, trained: TrainedModel, source: VideoSource, embedder: Embedder) -> None:
        device = str(trained.model.backbone.device)
        self._describer = Describer(describing_backbone(trained, device), prompts_of(trained))
        self._source = source
        self._embedder = embedder

    def make(self, parts: Sequence[SegmentJob], pictures: Mapping[Clip, bytes]) -> list[SegmentRow]:
        """Return the segments of some parts, at most a few described together."""
        rows: list[SegmentRow] = []
        for start in range(0, len(parts), _AT_ONCE):
            some = parts[start : start + _AT_ONCE]
            features = self._source.features([part.clip for part in some])
            seen = self._describer.describe(features)
            segments = [
                _segment(part, text, pictures.get(part.clip))
                for part, text in zip(some, seen, strict=True)
            ]
            rows += _with_vectors(self._embedder, segments, features)
        return rows


def refresh_text(
    embedder: Embedder,
    segments: Sequence[SegmentRow],
    row: FileRow,
    lines: Sequence[Caption] | None,
) -> list[SegmentRow]:
    """Return segments with new words of their file; nothing is decoded or described again.

    Args:
        embedder: Of the library.
        segments: What to tell of another file.
        row: The file.
        lines: What is said in it; None: what the segments say already.
    """
    told = [with_search_text(segment, row, lines) for segment in segments]
    return _with_vectors(embedder, told, ()) if embedder.source == "text" else told


def _with_vectors(
    embedder: Embedder, segments: Sequence[SegmentRow], features: Sequence[VideoFeatures]
) -> list[SegmentRow]:
    """Return segments with their search vectors.

    Raises:
        SetupError: Where the model of the embedder is broken.
    """
    pictures = [one.thumbnail for one in segments if one.thumbnail is not None]
    vectors = embedder.segments([one.text for one in segments], pictures, features)
    if not np.isfinite(vectors).all():
        raise SetupError(
            f"--embedder: {embedder.name} gives vectors that are not finite; its weights are "
            "broken, download them again or use 'lexical', which needs none"
        )
    return [replace(one, vector=v) for one, v in zip(segments, vectors, strict=True)]


def _segment(part: SegmentJob, seen: str, picture: bytes | None) -> SegmentRow:
    """Return a part as a segment, its vector still missing."""
    begin, end = part.clip.window
    segment = SegmentRow(
        content_id=part.row.content_id,
        start_seconds=begin or 0.0,
        end_seconds=part.row.duration_seconds if end is None else end,
        is_whole_video=end is None,
        description=seen,
        transcript="",
        text="",
        vector=_NO_VECTOR,
        thumbnail=picture,
    )
    return with_search_text(segment, part.row, part.lines)


def with_search_text(
    segment: SegmentRow, row: FileRow, lines: Sequence[Caption] | None
) -> SegmentRow:
    """Return a segment with what is said in it and written of its file."""
    transcript = segment.transcript
    if lines is not None:
        transcript = transcript_between(lines, segment.start_seconds, segment.end_seconds)
    notes = [str(value) for value in json.loads(row.notes).values()] if row.notes else []
    names = " ".join(re.findall(r"[^\W_]+", row.path))
    text = "\n".join(
        part for part in (segment.description, transcript, names, row.path, *notes) if part
    )
    return replace(segment, transcript=transcript, text=text)
