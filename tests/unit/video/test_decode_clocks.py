"""One clock for picture and sound: joined files, missing times, late pictures, still endings."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.factories import frame_number, make_video
from videolatent_cli.errors import VideoError, WindowError
from videolatent_cli.video import decode
from videolatent_cli.video.cut import cut_clip
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.display import _is_one_of
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

SPEC = SamplingSpec(100.0, 8, 8, 4096, 128 * 64, "ffmpeg", 2, 1)


def ffmpeg(*arguments: str) -> None:
    subprocess.run(
        [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", *arguments], check=True
    )


def numbers(path: Path, window: tuple[float | None, float | None] = (None, None)) -> list[int]:
    return [frame_number(frame) for frame in decode_frames(path, SPEC, window).data]


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Transport streams of frames 0-29, 30-59, and 30-59 with a clock 100 s later."""
    ten = ("-g", "10")
    first = make_video(tmp_path / "0.ts", 30, 10, options=ten)
    second = make_video(tmp_path / "1.ts", 30, 10, options=ten, first=30)
    far = make_video(
        tmp_path / "2.ts", 30, 10, options=(*ten, "-output_ts_offset", "100"), first=30
    )
    return [first, second, far]


@pytest.mark.parametrize("order", [(0, 1), (0, 2), (2, 0)])
def test_joined_transport_streams_have_one_rising_clock(
    parts: list[Path], order: tuple[int, int], tmp_path: Path
) -> None:
    path = joined(tmp_path / "joined.ts", *(parts[index] for index in order))
    info = read_info(path)
    assert info.duration_seconds == pytest.approx(6.0)
    assert info.remarks == ("it is joined from 2 parts",)
    wanted = [3, 11, 18, 26, 33, 41, 48, 56]
    if order == (2, 0):
        wanted = [33, 41, 48, 56, 3, 11, 18, 26]
    frames = decode_frames(path, SPEC)
    assert [frame_number(frame) for frame in frames.data] == wanted
    assert frames.pts_seconds.round(2).tolist() == [0.3, 1.1, 1.8, 2.6, 3.3, 4.1, 4.8, 5.6]
    assert numbers(path, (4.0, 6.0))[0] == (41 if order != (2, 0) else 11)


def test_joined_program_streams_have_one_rising_clock(tmp_path: Path) -> None:
    options = ("-g", "10", "-r", "25", "-f", "vob")
    a = make_video(tmp_path / "a.vob", 30, 10, options=options, codec="mpeg2video")
    b = make_video(tmp_path / "b.vob", 30, 10, options=options, codec="mpeg2video", first=30)
    path = joined(tmp_path / "dvd.vob", a, b)
    assert read_info(path).duration_seconds == pytest.approx(6.0, abs=0.05)
    assert numbers(path) == [3, 11, 18, 26, 33, 41, 48, 56]


def test_a_clip_of_a_joined_file_shows_its_moment(parts: list[Path], tmp_path: Path) -> None:
    path = joined(tmp_path / "joined.ts", parts[0], parts[1])
    cut_clip(path, 4.0, 4.5, tmp_path / "clip.mp4")
    shown = numbers(tmp_path / "clip.mp4")
    assert 30 <= shown[0] <= 32
    assert 53 <= shown[-1] <= 55


@pytest.mark.parametrize("b_frames", ["0", "1", "3"])
def test_h264_in_avi_has_the_right_frames(tmp_path: Path, b_frames: str) -> None:
    options = ("-bf", b_frames, "-g", "30")
    path = make_video(tmp_path / "h264.avi", 60, 10, options=options)
    frames = decode_frames(path, SPEC)
    assert [frame_number(frame) for frame in frames.data] == [3, 11, 18, 26, 33, 41, 48, 56]
    assert frames.pts_seconds.round(2).tolist() == [0.3, 1.1, 1.8, 2.6, 3.3, 4.1, 4.8, 5.6]
    dense = decode_frames(path, replace(SPEC, min_frames=60, max_frames=60))
    assert [frame_number(frame) for frame in dense.data] == list(range(60))


def test_matroska_with_b_frames_has_the_right_frames_after_a_seek(tmp_path: Path) -> None:
    # Remuxed from MP4, the decoding times that ffmpeg guesses after a seek are too late.
    make_video(tmp_path / "a.mp4", 160, 4, options=("-g", "20"))
    path = tmp_path / "a.mkv"
    ffmpeg("-i", str(tmp_path / "a.mp4"), "-c", "copy", str(path))
    for group in range(8):
        seconds = 5.0 * group
        wanted = [20 * group + index for index in range(8)]
        assert numbers(path, (seconds, seconds + 2.0)) == wanted


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """Sound of 20 s with a picture that starts at 10 s, 4 frames a second."""
    make_video(tmp_path / "s.mp4", 40, 4, options=("-g", "20"))
    sound = ("-f", "lavfi", "-i", "sine=d=20")
    path = tmp_path / "late.mp4"
    ffmpeg(
        *(*sound, "-itsoffset", "10", "-i", str(tmp_path / "s.mp4"), "-map", "0:a", "-map", "1:v"),
        *("-c:v", "copy", "-c:a", "aac", "-b:a", "16k", "-t", "20", str(path)),
    )
    return path


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_late_picture_is_shown_at_the_players_time(late: Path, ending: str) -> None:
    path = late.with_suffix(f".{ending}")
    if path != late:
        ffmpeg("-i", str(late), "-map", "0", "-c", "copy", str(path))
    info = read_info(path)
    assert info.duration_seconds == pytest.approx(20.0, abs=0.1)
    assert info.picture_seconds == pytest.approx((10.0, 20.0), abs=0.1)
    (remark,) = info.remarks
    assert remark.startswith("the picture starts 10.0")
    # Before its first frame, that frame is on screen.
    frames = decode_frames(path, SPEC, (8.0, 12.05))
    assert [frame_number(frame) for frame in frames.data] == [0, 0, 0, 0, 1, 3, 5, 7]
    assert (np.diff(frames.pts_seconds) > 0).all()
    cut_clip(path, 15.0, 16.0, path.with_name("clip.mp4"))
    assert numbers(path.with_name("clip.mp4"))[:2] == pytest.approx([16, 17], abs=1)
    cut_clip(path, 9.0, 11.0, path.with_name("clip.mp4"))
    shown = numbers(path.with_name("clip.mp4"))
    assert shown[:4] == [0, 0, 0, 0]
    assert shown[-1] == pytest.approx(7, abs=1)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_the_last_picture_stays_as_long_as_the_sound(tmp_path: Path, ending: str) -> None:
    make_video(tmp_path / "s.mp4", 10, 5)
    path = tmp_path / f"screen.{ending}"
    sound = ("-f", "lavfi", "-i", "sine=d=30", "-map", "0:v", "-map", "1:a")
    ffmpeg("-i", str(tmp_path / "s.mp4"), *sound, "-c:v", "copy", "-c:a", "aac", str(path))
    info = read_info(path)
    assert info.duration_seconds == pytest.approx(30.0, abs=0.1)
    frames = decode_frames(path, SPEC, (20.0, 24.0))
    assert {frame_number(frame) for frame in frames.data} == {9}
    assert frames.pts_seconds.tolist() == pytest.approx([20.25 + 0.5 * i for i in range(8)])
    cut_clip(path, 20.0, 22.0, tmp_path / "clip.mp4")
    assert set(numbers(tmp_path / "clip.mp4")) == {9}
    with pytest.raises(WindowError, match=r"start must be below its 30\.\d+ s, got 31.00 s"):
        decode_frames(path, SPEC, (31.0, None))


def test_a_single_picture_with_sound_lasts_as_long_as_the_sound(tmp_path: Path) -> None:
    make_video(tmp_path / "s.mp4", 1, 1)
    path = tmp_path / "podcast.mkv"
    sound = ("-f", "lavfi", "-i", "sine=d=9", "-map", "0:v", "-map", "1:a")
    ffmpeg("-i", str(tmp_path / "s.mp4"), *sound, "-c:v", "copy", "-c:a", "aac", str(path))
    assert read_info(path).duration_seconds == pytest.approx(9.0, abs=0.1)


def test_padding_of_the_sound_moves_no_frame(tmp_path: Path) -> None:
    # Frames of such ordinary files are in many caches: they must stay the same.
    make_video(tmp_path / "s.mp4", 30, 10)
    path = tmp_path / "a.mkv"
    sound = ("-itsoffset", "-0.03", "-f", "lavfi", "-i", "sine=d=3.4", "-map", "0:v", "-map", "1:a")
    ffmpeg("-i", str(tmp_path / "s.mp4"), *sound, "-c:v", "copy", "-c:a", "libopus", str(path))
    info = read_info(path)
    assert info.duration_seconds == pytest.approx(3.0, abs=0.01)
    assert info.picture_seconds == (0.0, info.duration_seconds)
    assert info.remarks == ()


# --- many frames


@pytest.mark.parametrize("resize", ["ffmpeg", "torch"])
def test_more_than_100_frames_of_one_run(tmp_path: Path, resize: str) -> None:
    path = make_video(tmp_path / "a.mp4", 250, 25, options=("-g", "250"))
    spec = replace(SPEC, min_frames=240, max_frames=240, resize=resize)
    frames = decode_frames(path, spec)
    wanted = [int(t * 25 + 1e-9) for t in spec.times(10.0)]
    assert [frame_number(frame) for frame in frames.data] == wanted


def test_a_run_selects_no_more_frames_than_a_command_can_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_FRAMES_PER_RUN", 7)
    for name in ("a.mp4", "a.ts"):
        path = make_video(tmp_path / name, 60, 10)
        dense = decode_frames(path, replace(SPEC, min_frames=60, max_frames=60))
        assert [frame_number(frame) for frame in dense.data] == list(range(60))


def test_the_largest_run_fits_into_one_argument() -> None:
    times = [Fraction(index * 1001, 30) for index in range(decode._FRAMES_PER_RUN)]
    # ffmpeg-python escapes commas; Linux allows 128 KiB.
    assert len(_is_one_of(times, Fraction(1, 2)).replace(",", "\\\\\\,")) < 128 << 10


def test_a_refused_command_does_not_blame_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "a.mp4", 8, 4)
    monkeypatch.setattr(decode, "selected", lambda stream, *_: stream.filter("select", "no(t"))
    with pytest.raises(VideoError, match=r"ffmpeg gave 0 of 8 frames \(.*\)") as caught:
        decode_frames(path, SPEC)
    assert "damaged" not in str(caught.value)


# --- parts


def test_parts_outside_of_the_video_are_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 40, 10)
    with pytest.raises(WindowError, match=r"a.mp4: start must be below its 4.00 s, got 4.00 s"):
        decode_frames(path, SPEC, (4.0, None))
    with pytest.raises(WindowError, match=r"a.mp4: end must be after the start 0.00 s, got 0.00"):
        decode_frames(path, SPEC, (None, 0.0))
    assert numbers(path, (3.0, 400.0)) == numbers(path, (3.0, None))
