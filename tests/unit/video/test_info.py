"""What is read of a file before it is decoded."""

import shutil
from pathlib import Path

import pytest

from tests.factories import SPEC, make_video
from videolatent_cli.errors import VideoError
from videolatent_cli.video.content import content_id
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info


def test_rotation_and_pixel_aspect_are_applied(tmp_path: Path) -> None:
    flat = make_video(tmp_path / "flat.mp4", 8, 4)
    turned = tmp_path / "turned.mp4"
    import subprocess

    command = [ffmpeg_binary(), "-loglevel", "error", "-display_rotation", "90", "-i", str(flat)]
    subprocess.run([*command, "-c", "copy", str(turned)], check=True)
    info = read_info(turned)
    assert info.size_px == (64, 128)
    assert info.rotation_degrees in (90, 270)
    assert decode_frames(turned, SPEC).data.shape[1:] == (128, 64, 3)
    wide = make_video(tmp_path / "wide.mp4", 8, 4, options=("-vf", "setsar=2/1"))
    assert read_info(wide).size_px == (256, 64)


def test_broken_files_give_one_clear_line(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", 60, 10, options=("-movflags", "faststart"))
    raw = whole.read_bytes()
    cases = {
        "empty.mp4": (b"", "empty.mp4: cannot be opened as video"),
        "text.mp4": (b"hello" * 99, "text.mp4: cannot be opened as video"),
        "cut.mp4": (raw[: len(raw) * 2 // 3], "cut.mp4: is truncated, its index ends at byte"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(VideoError) as caught:
            read_info(path)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(VideoError, match=r"nope.mp4: file not found"):
        read_info(tmp_path / "nope.mp4")
    with pytest.raises(VideoError, match=r"nope.mp4: file not found or not readable"):
        content_id(tmp_path / "nope.mp4")


def test_content_id_is_of_the_content(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 4, 4)
    copy = tmp_path / "b.mp4"
    shutil.copy(path, copy)
    assert content_id(path) == content_id(copy)
    copy.write_bytes(copy.read_bytes() + b"x")
    assert content_id(path) != content_id(copy)
