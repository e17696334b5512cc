"""EventWorld as video files and files of triplets."""

from __future__ import annotations

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from videolatent_cli.data.eventworld.render import FPS, SIZE_PX, render
from videolatent_cli.data.eventworld.triplets import eventworld_triplets, video_name
from videolatent_cli.data.eventworld.world import make_world
from videolatent_cli.data.records import write_records
from videolatent_cli.errors import SetupError
from videolatent_cli.video.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_ENCODERS_AT_ONCE = 2


def frames_digest(split: str, count: int = 50) -> str:
    """Return the SHA-256 of the raw frames of the first `count` videos of a split."""
    sha = hashlib.sha256()
    for index in range(count):
        sha.update(render(make_world(split, index)).tobytes())
    return sha.hexdigest()


def render_videos(
    root: Path, split: str, count: int, on_video: Callable[[int], None] = lambda _: None
) -> list[Path]:
    """Write the missing video files of a split; return the paths of all its videos.

    Choice: H.264, 4:4:4, crf 12: small, played by everything, and close to the rendered pixels.

    Args:
        root: Folder that contains the split's folder.
        split: Name of the split.
        count: Number of videos, from index 0.
        on_video: Function called with the number of videos done.
    """
    paths = [root / video_name(split, index) for index in range(count)]
    (root / split).mkdir(parents=True, exist_ok=True)
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    done = count - len(missing)
    on_video(done)
    with ThreadPoolExecutor(_ENCODERS_AT_ONCE) as pool:
        for _ in pool.map(lambda index: _encode(paths[index], split, index), missing):
            done += 1
            on_video(done)
    return paths


def _encode(path: Path, split: str, index: int) -> None:
    """Encode one video to a temporary name, then rename it."""
    part = path.with_suffix(".part")
    size = f"{SIZE_PX}x{SIZE_PX}"
    command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "pipe:0"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv444p"]
    command += ["-threads", "1", "-f", "mp4", f"file:{part}"]
    frames = render(make_world(split, index)).tobytes()
    process = subprocess.run(command, input=frames, capture_output=True, timeout=120, check=False)
    if process.returncode:
        reason = process.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise SetupError(
            f"{path}: ffmpeg cannot encode H.264 ({''.join(reason)}); unset VL_FFMPEG or install "
            "an ffmpeg with libx264"
        )
    part.replace(path)


def render_splits(
    root: Path,
    counts: dict[str, int],
    on_video: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write the missing video files of several splits.

    Args:
        root: Folder that contains the splits' folders.
        counts: Number of videos of each split.
        on_video: Function called with (videos done, total number of videos).
    """
    before, total = 0, sum(counts.values())

    def show(done: int) -> None:
        on_video(before + done, total)

    for split, count in counts.items():
        render_videos(root, split, count, show)
        before += count


def render_dataset(
    root: Path,
    counts: dict[str, int],
    families: Iterable[str],
    questions_per_video: int,
    on_video: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Path]:
    """Write videos and triplets (`SPLIT.jsonl`) of several splits; return the triplet files."""
    render_splits(root, counts, on_video)
    written = {}
    for split, count in counts.items():
        pairs = eventworld_triplets(split, range(count), families, questions_per_video)
        written[split] = root / f"{split}.jsonl"
        write_records(written[split], [triplet for _, triplets in pairs for triplet in triplets])
    return written
