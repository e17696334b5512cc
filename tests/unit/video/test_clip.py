"""Clips: equal by file and part, pinned to a content."""

from pathlib import Path

import pytest

from videolatent_cli.errors import VideoError
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.content import content_id


def test_clips_of_the_same_part_are_equal_whatever_their_content() -> None:
    clip = Clip(Path("a.mp4"), (1.0, 2.0))
    assert clip == Clip(Path("a.mp4"), (1.0, 2.0), content_id="x")
    assert hash(clip) == hash(Clip(Path("a.mp4"), (1.0, 2.0), content_id="x"))
    assert clip != Clip(Path("a.mp4"), (1.0, None))
    assert clip != Clip(Path("b.mp4"), (1.0, 2.0))


def test_a_pinned_clip_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"first")
    pinned = Clip(path).pinned()
    assert pinned.content_id == content_id(path)
    path.write_bytes(b"second")
    assert pinned.pinned().content_id == pinned.content_id != content_id(path)
    path.unlink()
    assert pinned.pinned() == pinned
    with pytest.raises(VideoError, match=r"a.mp4: file not found"):
        Clip(path).pinned()
