"""`vl data check`: find the videos of a data set that cannot be read."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import VideoError
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.recipe import load_recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

_AT_ONCE = 2
"""Number of videos that are checked in parallel."""
_DEEP = SamplingSpec(
    fps=1.0,
    min_frames=4,
    max_frames=64,
    min_pixels=64 * 64,
    max_pixels=128 * 128,
    resize="ffmpeg",
    size_multiple_px=2,
    frames_per_group=1,
)
"""Sampling of `--deep`: up to 64 small frames, spread over the whole video."""


@dataclass(frozen=True)
class CheckReport:
    """Outcome of a data check."""

    videos: int
    """Number of videos that were checked."""
    bad: dict[Path, str]
    """Reason why a video cannot be read, by the path of the video."""
    quarantine: Path
    """File that lists the bad videos."""


@dataclass(frozen=True)
class CheckRequest:
    """Data to check, and where to list its bad videos."""

    source: Path
    """Recipe (`.yaml`, `.yml`) or triplet file."""
    quarantine: Path = Path("quarantine.jsonl")
    """File that the bad videos are written to."""
    deep: bool = False
    """Also decode frames from all parts of each video."""


def check_data(
    request: CheckRequest, machine: Machine = Machine(), progress: Progress = silent
) -> CheckReport:
    """Open every video of a recipe or triplet file, and list the bad ones in a file.

    Args:
        request: The data to check.
        machine: Folder of caches, which contains rendered videos.
        progress: Called with (what, done, total).
    """
    source = request.source
    if source.suffix in (".yaml", ".yml"):
        recipe = load_recipe(source)
        dataset = recipe_dataset(
            recipe, source.parent, machine.cache_dir, progress, check_files=False
        )
    else:
        dataset = Dataset({source.stem: read_triplets(source)}, source.parent)
    paths = list(dataset.videos())
    bad: dict[Path, str] = {}

    def attempt(path: Path) -> str | None:
        try:
            info = read_info(path)
            if request.deep:
                decode_frames(path, _DEEP, info=info)
        except VideoError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, (path, reason) in enumerate(
            zip(paths, pool.map(attempt, paths), strict=True), start=1
        ):
            if reason is not None:
                bad[path] = reason
            progress("check", done, len(paths))
    write_quarantine(request.quarantine, bad)
    return CheckReport(len(paths), bad, request.quarantine)


def write_quarantine(path: Path, bad: dict[Path, str]) -> None:
    """Write a list of unreadable videos and their reasons as JSON Lines."""
    lines = [json.dumps({"file": str(file), "reason": reason}) for file, reason in bad.items()]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
