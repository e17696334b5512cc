"""Clips that are cut out of videos."""

from pathlib import Path

import pytest

from tests.factories import make_video
from videolatent_cli.errors import VideoError
from videolatent_cli.video.cut import cut_clip
from videolatent_cli.video.info import read_info


@pytest.mark.parametrize(
    ("moment", "seconds"), [((4.0, 5.0), 3.0), ((0.0, 2.0), 3.0), ((9.0, 10.0), 2.0)]
)
def test_a_clip_shows_a_second_around_its_moment(
    tmp_path: Path, moment: tuple[float, float], seconds: float
) -> None:
    video = make_video(tmp_path / "a.mp4", 100, 10)
    cut_clip(video, *moment, tmp_path / "new" / "clip.mp4")
    info = read_info(tmp_path / "new" / "clip.mp4")
    assert info.duration_seconds == pytest.approx(seconds, abs=0.11)
    assert (info.codec, info.size_px) == ("h264", (128, 64))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clip.mp4"]


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    options = ("-vf", "crop=63:31:0:0", "-pix_fmt", "yuv444p")
    odd = make_video(tmp_path / "odd.mp4", 20, 10, options=options)
    assert read_info(odd).size_px == (63, 31)
    cut_clip(odd, 0.0, 1.0, tmp_path / "clip.mp4")
    assert read_info(tmp_path / "clip.mp4").size_px == (64, 32)


def test_a_file_that_cannot_be_cut_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"x")
    (tmp_path / "clip.mp4").write_bytes(b"old")
    with pytest.raises(VideoError, match=r"broken.mp4: cannot be opened as video"):
        cut_clip(tmp_path / "broken.mp4", 1.0, 2.0, tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_bytes() == b"old"
