"""EventWorld on disk: pinned frames, real videos."""

import json
from pathlib import Path

import pytest

from videolatent_cli.data.eventworld import HOPS, SPLITS
from videolatent_cli.data.eventworld import files as eventworld_files
from videolatent_cli.data.eventworld.files import frames_digest, render_dataset, render_videos
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import SetupError
from videolatent_cli.video.info import read_info

DIGESTS: dict[str, str] = json.loads(
    (Path(__file__).parent / "digests.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("split", SPLITS)
def test_frames_are_the_pinned_ones(split: str) -> None:
    assert frames_digest(split) == DIGESTS[split]


def test_render_writes_real_videos_once(tmp_path: Path) -> None:
    counts = {"train": 3, "test_long": 2}
    done: list[tuple[int, int]] = []
    written = render_dataset(tmp_path, counts, ["all"], 4, lambda d, n: done.append((d, n)))
    info = read_info(tmp_path / "train/000000.mp4")
    assert (info.size_px, info.duration_seconds, info.codec) == ((64, 64), 4.0, "h264")
    assert done[-1] == (5, 5)
    times = [p.stat().st_mtime_ns for p in render_videos(tmp_path, "train", 3)]
    assert times == [p.stat().st_mtime_ns for p in render_videos(tmp_path, "train", 3)]
    triplets = read_triplets(written["train"])
    assert len(triplets) == len(eventworld_triplets("train", range(3), ["all"], 4)[0][1]) * 3
    assert all((tmp_path / t.video).exists() for t in triplets)
    assert triplets[0].meta["hops"] == HOPS[triplets[0].category[0]]


def test_an_ffmpeg_without_h264_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho Unknown encoder libx264 >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(eventworld_files, "ffmpeg_binary", lambda: str(fake))
    with pytest.raises(SetupError, match=r"cannot encode H.264 \(Unknown encoder libx264\)"):
        render_videos(tmp_path / "out", "train", 1)
