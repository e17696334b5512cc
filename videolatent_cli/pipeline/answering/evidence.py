"""Evidence of an answer: the moments with the highest re-look attention, as clips and sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import printable
from videolatent_cli.pipeline.answering.answer import Answer, Evidence
from videolatent_cli.video.content import check_content
from videolatent_cli.video.cut import clip_name, cut_clip
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.sheet import contact_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.model.generate import Generated
    from videolatent_cli.pipeline.runs.trained_model import TrainedModel
    from videolatent_cli.video.clip import Clip

_SHEET_PIXELS = 240 * 240
"""Maximum number of pixels of a frame on a contact sheet."""


def group_weights(
    generated: Generated, features: VideoFeatures, row: int = 0
) -> list[float] | None:
    """Return the re-look attention of each frame group; None if the latents had no re-look.

    Choice: the re-look attention averaged over heads, latents and blocks; it sums to 1.
    """
    if generated.rollout is None or generated.rollout.attention is None:
        return None
    # (latent, group) -> (group,), without the padding up to the longest video of the batch
    attention = generated.rollout.attention[row].mean(0)[: features.grid[0]]
    weights: list[float] = attention.tolist()
    return weights


def moments(
    clip: Clip, features: VideoFeatures, weights: Sequence[float], count: int
) -> list[Evidence]:
    """Return the moments of a pinned clip with the highest attention, in order of time.

    Args:
        clip: The clip.
        features: Features of the clip, with the times of its frames.
        weights: Re-look attention of each frame group.
        count: Maximum number of moments; each is one frame group.
    """
    best = sorted(range(len(weights)), key=lambda group: -weights[group])[:count]
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
    """Return the times of a group's frames (s)."""
    size = -(-len(features.pts_seconds) // features.grid[0])  # frames per group, rounded up
    times = features.pts_seconds[group * size : (group + 1) * size]
    return [round(float(time), 6) for time in times]


def cut_evidence(answer: Answer, folder: Path) -> list[Path]:
    """Cut each moment of evidence out of its video into a folder, and return the files.

    Raises:
        VideoError: If a video cannot be cut, or has changed since the question was asked.
    """
    files = []
    for moment in answer.evidence:
        video = Path(moment.video)
        check_content(video, moment.video_id)
        out = folder / clip_name(video, moment.video_id, moment.start_seconds)
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
    """Return the contact sheet of a clip, decoded again from the file at a readable size.

    Args:
        trained: Model with the sampling contract that chooses the frames.
        clip: The clip.
        title: Text above the frames, of one or more lines.
        weights: Re-look attention of each frame group, shown as bars; may be empty.
        evidence: Moments to mark.

    Raises:
        VideoError: If the file cannot be read, or its content has changed.
    """
    check_content(clip.path, clip.content_id)
    # The same times as the model's frames, but another size: models may see tiny frames.
    spec = replace(
        trained.checkpoint.sampling, min_pixels=_SHEET_PIXELS // 2, max_pixels=_SHEET_PIXELS
    )
    frames = decode_frames(clip.path, spec, clip.window)
    times = [round(float(time), 6) for time in frames.pts_seconds]
    marked = [
        index
        for index, time in enumerate(times)
        if any(time in moment.frames_seconds for moment in evidence)
    ]
    frame_weights: list[float] = []
    if weights:
        size = -(-len(times) // len(weights))  # frames per group, rounded up
        frame_weights = [weights[index // size] for index in range(len(times))]
    return contact_sheet(frames, title, frame_weights, marked)
