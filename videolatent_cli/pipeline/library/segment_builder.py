"""Segment rows: description by the backbone, transcript, search text and search vector."""

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

_JOBS_PER_BATCH = 16
"""Number of segments that are described together."""
_NO_VECTOR = np.zeros(0, np.float32)


@dataclass(frozen=True)
class SegmentJob:
    """A part of a file that becomes a segment."""

    row: FileRow
    clip: Clip
    captions: tuple[Caption, ...]
    """Captions of the whole file."""


class SegmentAssembler:
    """Describes and embeds clips with cached features, and assembles their segment rows."""

    def __init__(self, trained: TrainedModel, source: VideoSource, embedder: Embedder) -> None:
        device = str(trained.model.backbone.device)
        backbone = describing_backbone(trained, device)
        self._describer = Describer(backbone, description_prompts(trained))
        self._source = source
        self._embedder = embedder

    def assemble(
        self, jobs: Sequence[SegmentJob], thumbnails: Mapping[Clip, bytes]
    ) -> list[SegmentRow]:
        """Return the segments of some jobs; the features of all clips must be cached."""
        rows: list[SegmentRow] = []
        for start in range(0, len(jobs), _JOBS_PER_BATCH):
            batch = jobs[start : start + _JOBS_PER_BATCH]
            features = self._source.features([job.clip for job in batch])
            descriptions = self._describer.describe(features)
            segments = [
                _segment_without_vector(job, description, thumbnails.get(job.clip))
                for job, description in zip(batch, descriptions, strict=True)
            ]
            rows += _with_vectors(self._embedder, segments, features)
        return rows


def _segment_without_vector(
    job: SegmentJob, description: str, thumbnail: bytes | None
) -> SegmentRow:
    """Return the segment of a job with an empty vector."""
    start, end = job.clip.window
    segment = SegmentRow(
        content_id=job.row.content_id,
        start_seconds=start or 0.0,
        end_seconds=job.row.duration_seconds if end is None else end,
        is_whole_video=end is None,
        description=description,
        transcript="",
        text="",
        vector=_NO_VECTOR,
        thumbnail=thumbnail,
    )
    return with_search_text(segment, job.row, job.captions)


def _with_vectors(
    embedder: Embedder, segments: Sequence[SegmentRow], features: Sequence[VideoFeatures]
) -> list[SegmentRow]:
    """Return segments with their search vectors.

    Raises:
        SetupError: If the model of the embedder is broken.
    """
    thumbnails = [segment.thumbnail for segment in segments if segment.thumbnail is not None]
    vectors = embedder.segments([segment.text for segment in segments], thumbnails, features)
    if not np.isfinite(vectors).all():
        raise SetupError(
            f"--embedder: {embedder.name} gives vectors that are not finite; its weights are "
            "broken, download them again or use 'lexical', which needs none"
        )
    return [
        replace(segment, vector=vector) for segment, vector in zip(segments, vectors, strict=True)
    ]


def refresh_text(
    embedder: Embedder,
    segments: Sequence[SegmentRow],
    row: FileRow,
    captions: Sequence[Caption] | None,
) -> list[SegmentRow]:
    """Return segments with the search text of a file; nothing is decoded or described again.

    Args:
        embedder: Embedder of the library.
        segments: Known segments of the file's content.
        row: The file.
        captions: Captions of the file; None: the segments keep their transcript.
    """
    refreshed = [with_search_text(segment, row, captions) for segment in segments]
    # Vectors of pictures and features do not depend on the text.
    return _with_vectors(embedder, refreshed, ()) if embedder.source == "text" else refreshed


def with_search_text(
    segment: SegmentRow, row: FileRow, captions: Sequence[Caption] | None
) -> SegmentRow:
    """Return a segment with its transcript, and with the text that words are searched in.

    The text contains the description, the transcript, the path of the file and its notes.
    """
    transcript = segment.transcript
    if captions is not None:
        transcript = transcript_between(captions, segment.start_seconds, segment.end_seconds)
    notes = [str(value) for value in json.loads(row.notes).values()] if row.notes else []
    # The path is added twice: split into words for queries by word, and as it is written.
    path_words = " ".join(re.findall(r"[^\W_]+", row.path))
    parts = (segment.description, transcript, path_words, row.path, *notes)
    return replace(segment, transcript=transcript, text="\n".join(part for part in parts if part))


def describe_file(path: Path, run: Path | None, device: str) -> str:
    """Return a description of a video or picture file by the backbone of a run.

    Raises:
        VideoError: If the file cannot be read.
    """
    read_info(path)  # a broken file is reported before the model is loaded
    trained = open_model(run, device)
    source = trained.source()
    features = source.encode(source.decode(Clip(path)))
    backbone = describing_backbone(trained, str(trained.model.backbone.device))
    return Describer(backbone, description_prompts(trained)).describe([features])[0]


def describing_backbone(trained: TrainedModel, device: str) -> Backbone:
    """Return the backbone that describes videos: untrained if only its language model was trained.

    Choice: a language model that was fully trained on short answers no longer lists what it sees,
    so its original weights are loaded. A backbone with LoRA, or with a trained vision tower, is
    used as it is.
    """
    recipe = trained.checkpoint.recipe.backbone
    if recipe.train == "full" and not recipe.train_vision:
        return load_backbone(recipe, device)
    return trained.model.backbone


def description_prompts(trained: TrainedModel) -> tuple[str, ...]:
    """Return the prompts that ask the backbone to describe a video."""
    return EMBEDDED_PROMPTS if trained.embedded_backbone else PROMPTS
