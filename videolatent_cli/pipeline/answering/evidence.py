"""The moments that an answer rests on, and how they are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import printable
from videolatent_cli.pipeline.answering.answer import Answer, Evidence
from videolatent_cli.video.cut import cut_clip
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import check_content
from videolatent_cli.video.sheet import contact_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.model.generate import Generated
    from videolatent_cli.pipeline.runs.trained_model import TrainedModel
    from videolatent_cli.video.clip import Clip

_SHEET_PIXELS = 240 * 240
"""Pixels of a frame on a contact sheet."""


def group_weights(out: Generated, features: VideoFeatures, row: int = 0) -> list[float] | None:
    """Return how much the latents looked at each frame group; None without a re-look.

    Choice: the re-look attention averaged over heads, latents and blocks; it sums to 1.
    """
    if out.rollout is None or out.rollout.attention is None:
        return None
    looked: list[float] = out.rollout.attention[row].mean(0)[: features.grid[0]].tolist()
    return looked


def moments(
    clip: Clip, features: VideoFeatures, weights: Sequence[float], count: int
) -> list[Evidence]:
    """Return the moments of a pinned clip that were looked at most, in order of time."""
    best = sorted(range(len(weights)), key=lambda g: -weights[g])[:count]
    return [
        Evidence(
            video=printable(clip.path),
            video_id=clip.content_id,
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


def cut_evidence(answer: Answer, folder: Path) -> list[Path]:
    """Cut each moment of evidence out of its video and return the files.

    Raises:
        VideoError: Where a video cannot be cut, or is another than the one that was asked.
    """
    files = []
    for moment in answer.evidence:
        video = Path(moment.video)
        check_content(video, moment.video_id)
        out = folder / f"{video.stem}-{moment.video_id[:6]}-{moment.start_seconds:.2f}.mp4"
        cut_clip(video, moment.start_seconds, moment.end_seconds, out)
        files.append(out)
    return files


def evidence_sheet(
    trained: TrainedModel,
    clip: Clip,
    title: str,
    weights: Sequence[float],
    evidence: Sequence[Evidence] = (),
) -> Image.Image:
    """Return the contact sheet of a clip, from the file, at a size that people can look at.

    Args:
        trained: Whose sampling contract chooses the frames.
        clip: The clip.
        title: One or more lines.
        weights: One a frame group; may be empty.
        evidence: Moments to mark.

    Raises:
        VideoError: Where the file cannot be read, or no longer holds the content that is meant.
    """
    check_content(clip.path, clip.content_id)
    spec = replace(
        trained.checkpoint.sampling, min_pixels=_SHEET_PIXELS // 2, max_pixels=_SHEET_PIXELS
    )
    frames = decode_frames(clip.path, spec, clip.window)
    times = [round(float(t), 6) for t in frames.pts_seconds]
    marked = [i for i, t in enumerate(times) if any(t in e.frames_seconds for e in evidence)]
    by_frame: list[float] = []
    if weights:
        size = -(-len(times) // len(weights))
        by_frame = [weights[index // size] for index in range(len(times))]
    return contact_sheet(frames, title, by_frame, marked)
