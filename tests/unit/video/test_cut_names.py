"""Clips cut out of videos: their names, and what cannot be cut."""

import os
from pathlib import Path

import pytest

from tests.factories import make_video
from videolatent_cli.errors import VideoError, WindowError
from videolatent_cli.video import cut
from videolatent_cli.video.cut import clip_name, cut_clip

ID = "abcdef0123456789"


@pytest.mark.parametrize(
    "stem",
    ["My long talk about things " * 9 + " [x1y2]", "日本語の長い題名" * 10, "b" * 250, "🎥" * 60],
)
def test_names_of_clips_fit_into_255_bytes(tmp_path: Path, stem: str) -> None:
    video = make_video(tmp_path / "a.mp4", 8, 4).rename(tmp_path / f"{stem[:240]}.mp4"[-251:])
    name = clip_name(video, ID, 1234.5)
    assert name.endswith("-abcdef-1234.50.mp4")
    cut_clip(video, 0.5, 1.0, tmp_path / "clips" / name)
    assert [file.name for file in (tmp_path / "clips").iterdir()] == [name]


def test_short_names_stay_as_they_are() -> None:
    assert clip_name(Path("d/a talk.mp4"), ID, 3.0) == "a talk-abcdef-3.00.mp4"
    strange = Path(os.fsdecode(b"bad\xff\xfe.mp4"))
    assert os.fsencode(clip_name(strange, ID, 3.0)) == b"bad\xff\xfe-abcdef-3.00.mp4"


def test_what_cannot_be_cut_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mp4", 8, 4)
    with pytest.raises(WindowError, match=r"a.mp4: start must be below its 2.00 s, got 5.00 s"):
        cut_clip(path, 5.0, 6.0, tmp_path / "out.mp4")
    monkeypatch.setattr(cut, "execute", lambda *_: (b"", "Error while filtering"))
    with pytest.raises(VideoError, match=r"a.mp4: no clip can be cut at 1.00 s \(Error while"):
        cut_clip(path, 1.0, 1.5, tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))
