"""`vl data check`: which videos of a data set cannot be read."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import VideoError
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.recipe import load_recipe
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.probe import probe
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from pathlib import Path

_AT_ONCE = 2
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

"""What `--deep` decodes: up to 64 frames all over the video."""


@dataclass(frozen=True)
class CheckReport:
    """What `vl data check` found."""

    videos: int
    bad: dict[Path, str]
    quarantine: Path
    """File with the bad videos."""


def check_data(
    source: Path,
    cache_dir: Path,
    quarantine: Path,
    *,
    deep: bool,
    progress: Progress = silent,
) -> CheckReport:
    """Probe every video of a recipe or triplet file and write the bad ones to a file.

    Args:
        source: A recipe (`.yaml`, `.yml`) or triplets.
        cache_dir: Folder of caches.
        quarantine: The file to write.
        deep: Also decode frames all over each video.
        progress: Called with (what, done, total).
    """
    if source.suffix in (".yaml", ".yml"):
        recipe = load_recipe(source)
        dataset = recipe_dataset(recipe, source.parent, cache_dir, progress, check_files=False)
    else:
        dataset = Dataset({source.stem: read_triplets(source)}, source.parent)
    paths = list(dataset.videos())
    bad: dict[Path, str] = {}

    def attempt(path: Path) -> str | None:
        try:
            info = probe(path)
            if deep:
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
    write_quarantine(quarantine, bad)
    return CheckReport(len(paths), bad, quarantine)


def write_quarantine(path: Path, bad: dict[Path, str]) -> None:
    """Write the videos that cannot be read as JSON Lines."""
    lines = [json.dumps({"file": str(file), "reason": reason}) for file, reason in bad.items()]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
