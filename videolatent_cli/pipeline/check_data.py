"""`vl data check`: find the videos of a data set that cannot be read."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import VideoError, WindowError
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.recipe import load_recipe
from videolatent_cli.recipe.schema import Video
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.video.clip import Clip, window_bounds
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

_AT_ONCE = 2
"""Number of videos that are checked in parallel."""
_DEEP = Video(fps=1.0, max_frames=64, min_pixels=64 * 64, max_pixels=128 * 128)
"""Frames that `--deep` decodes of the videos of a triplet file: up to 64 small ones."""


@dataclass(frozen=True)
class CheckReport:
    """Outcome of a data check."""

    videos: int
    """Number of videos that were checked."""
    bad: dict[Path, str]
    """Reason why a video cannot be read, by the path of the video."""
    outside: dict[Clip, str]
    """Reason why a part lies outside of its video; it names the first triplet about the part."""
    remarks: dict[Path, tuple[str, ...]]
    """Differences between the stored file and the video as shown, by the path of the video."""
    quarantine: Path
    """File that lists the bad videos and parts."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.data-check/1`."""
        return {
            "schema": "vl.data-check/1",
            "videos": self.videos,
            "bad": {str(path): reason for path, reason in self.bad.items()},
            "outside": list(self.outside.values()),
            "remarks": {str(path): list(remarks) for path, remarks in self.remarks.items()},
        }


@dataclass(frozen=True)
class CheckRequest:
    """Data to check, and where to list its bad videos."""

    source: Path
    """Recipe (`.yaml`, `.yml`) or triplet file."""
    quarantine: Path = Path("quarantine.jsonl")
    """File that the bad videos and parts are written to."""
    deep: bool = False
    """Also decode the frames of each video, or part of one, that the recipe samples."""


def check_data(
    request: CheckRequest, machine: Machine = Machine(), progress: Progress = silent
) -> CheckReport:
    """Open every video of a recipe or triplet file, and list the bad ones in a file.

    Args:
        request: The data to check.
        machine: Folder of caches, which contains rendered videos.
        progress: Called with (what, done, total).
    """
    source, video = request.source, _DEEP
    if source.suffix in (".yaml", ".yml"):
        recipe = load_recipe(source)
        video = recipe.video
        dataset = recipe_dataset(
            recipe, source.parent, machine.cache_dir, progress, check_files=False
        )
    else:
        dataset = Dataset({source.stem: read_triplets(source)}, source.parent)
    clips: dict[Path, dict[Clip, str]] = {}
    for triplets in dataset.splits.values():
        for triplet in triplets:
            clip = dataset.clip(triplet)
            clips.setdefault(clip.path, {}).setdefault(clip, triplet.id)
    report = CheckReport(len(clips), {}, {}, {}, request.quarantine)
    deep = video if request.deep else None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checked = pool.map(lambda path: _check(path, clips[path], deep, report), clips)
        for done, _ in enumerate(checked, start=1):
            progress("check", done, len(clips))
    write_quarantine(report)
    return report


def deep_sampling(video: Video) -> SamplingSpec:
    """Return the sampling of `--deep`: the frames of a recipe, at any size that its limits allow.

    Choice: no backbone is loaded, so the number of frames is not rounded to its frame groups.
    """
    return SamplingSpec.of(video, size_multiple_px=2, frames_per_group=1)


def _check(path: Path, clips: dict[Clip, str], deep: Video | None, report: CheckReport) -> None:
    """Check a video and add what is found to a report.

    Args:
        path: The video.
        clips: The video or the parts of it that are used, each with the id of a triplet about it.
        deep: Frames to decode; None: only open the file.
        report: Report to add to.
    """
    try:
        info = read_info(path)
        if info.remarks:
            report.remarks[path] = info.remarks
        for clip, triplet_id in clips.items():
            try:
                window_bounds(path, clip.window, info.duration_seconds)
            except WindowError as error:
                report.outside[clip] = f"{triplet_id}: {error}"
                continue
            if deep is not None:
                decode_frames(path, deep_sampling(deep), clip.window, deep.timeout_seconds, info)
    except VideoError as error:
        report.bad[path] = str(error)


def write_quarantine(report: CheckReport) -> None:
    """Write the bad videos and parts of a report, with their reasons, as JSON Lines."""
    rows: list[dict[str, Any]] = [
        {"file": str(file), "reason": reason} for file, reason in sorted(report.bad.items())
    ]
    for clip, reason in sorted(report.outside.items(), key=lambda item: item[1]):
        start, end = clip.window
        part = {"start_seconds": start, "end_seconds": end}
        rows.append({"file": str(clip.path), **part, "reason": reason})
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    report.quarantine.write_text(text, encoding="utf-8")
