"""Exact frames of real files, odd and broken ones too."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.factories import SHARED_VIDEOS, SPEC, frame_number, make_video, manifest, spec
from videolatent_cli.errors import VideoError
from videolatent_cli.video import decode
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

ODD_ERRORS = {
    "exo_audio_only_opus.mp4": "has no video stream (found: audio)",
    "exo_clearkey_encrypted.mp4": "cannot be opened as video",
    "exo_vp9_invalid_bitstream.webm": "no frame can be decoded",
    "mediabunny_annexb_truncated.mp4": "is truncated",
    "mp4parse_chunk_out_of_range.mp4": "cannot be opened as video",
}


def wanted_numbers(one: SamplingSpec, duration: float, fps: float) -> list[int]:
    return [int(t * fps + 1e-9) for t in one.times(duration)]


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [
        ("plain.mp4", (), "libx264"),
        ("b_frames.mkv", ("-bf", "3", "-g", "12"), "libx264"),
        ("fragmented.mp4", ("-movflags", "frag_keyframe+empty_moov", "-g", "6"), "libx264"),
        ("stream.ts", ("-g", "12"), "libx264"),
        ("old.avi", (), "mpeg4"),
        ("web.webm", ("-b:v", "1M", "-cpu-used", "8"), "libvpx"),
        ("raw.h264", ("-r", "10"), "libx264"),
        ("flash.flv", ("-g", "12"), "libx264"),
    ],
)
@pytest.mark.parametrize("resize", ["ffmpeg", "torch"])
def test_exact_frames_in_many_containers(
    tmp_path: Path, name: str, options: tuple[str, ...], codec: str, resize: str
) -> None:
    path = make_video(tmp_path / name, 40, 10, options=options, codec=codec)
    frames = decode_frames(path, spec(resize=resize))
    info = read_info(path)
    assert info.duration_seconds == pytest.approx(4.0, abs=0.11)
    numbers = [frame_number(f) for f in frames.data]
    shown = [round(float(t) * 10) for t in frames.pts_seconds]
    assert numbers == shown
    assert numbers == wanted_numbers(spec(), info.duration_seconds, 10)
    assert frames.data.shape[1:] == (64, 128, 3)


def test_seeking_and_decoding_on_give_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "long.mp4", 250, 10, options=("-g", "10"))
    runs: list[bool] = []
    original = decode._run

    def watched(ask: object, wanted: object, seek: bool, threads: object) -> object:
        runs.append(seek)
        return original(ask, wanted, seek, threads)

    monkeypatch.setattr(decode, "_run", watched)
    monkeypatch.setattr(decode, "_SEEK_COST_FRAMES", 2)
    sought = decode_frames(path, SPEC)
    assert sum(runs) >= 8
    monkeypatch.setattr(decode, "_SEEK_COST_FRAMES", 10_000)
    linear = decode_frames(path, SPEC)
    assert np.array_equal(sought.data, linear.data)
    assert [frame_number(f) for f in sought.data] == wanted_numbers(SPEC, 25.0, 10)


def test_window_takes_only_its_part(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 100, 10)
    frames = decode_frames(path, SPEC, (2.0, 4.0))
    assert [frame_number(f) for f in frames.data] == [22, 27, 32, 37]
    assert frames.pts_seconds.tolist() == pytest.approx([2.2, 2.7, 3.2, 3.7])
    with pytest.raises(VideoError, match=r"a.mp4: start must be below its 10.00 s, got 12.00 s"):
        decode_frames(path, SPEC, (12.0, None))


def test_variable_frame_rate_follows_the_clock(tmp_path: Path) -> None:
    vf = "setpts='if(lt(N,20),N/20,1+(N-20)/5)/TB'"
    options = ("-vf", vf, "-fps_mode", "passthrough", "-video_track_timescale", "1000")
    path = make_video(tmp_path / "vfr.mp4", 40, 20, options=options)
    frames = decode_frames(path, spec(fps=1.0))
    wanted = [
        int(t * 20) if t < 1 else 20 + int((t - 1) * 5)
        for t in spec(fps=1.0).times(read_info(path).duration_seconds)
    ]
    assert [frame_number(f) for f in frames.data] == wanted


def test_start_offset_is_subtracted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "late.mkv", 40, 10, options=("-output_ts_offset", "7"))
    frames = decode_frames(path, SPEC)
    assert read_info(path).start_seconds == pytest.approx(7.0)
    assert frames.pts_seconds[0] == pytest.approx(0.2)
    assert frame_number(frames.data[0]) == 2


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "with space.mp4", "ünï côdé 视频.mp4", "a:b.mp4", "it's.mp4", "50%.mp4"]
)
def test_awkward_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(Path(name), 8, 4)
    assert len(decode_frames(Path(name), SPEC)) == 4


def test_a_short_video_repeats_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "one.mp4", 1, 10)
    frames = decode_frames(path, SPEC)
    assert [frame_number(f) for f in frames.data] == [0, 0, 0, 0]
    assert frames.pts_seconds.tolist() == [0, 0, 0, 0]


def test_a_damaged_frame_is_named_never_replaced(tmp_path: Path) -> None:
    path = make_video(tmp_path / "d.mkv", 40, 10, options=("-g", "1", "-bf", "0"), codec="mpeg4")
    import av

    with av.open(str(path)) as container:
        packet = next(p for p in container.demux(video=0) if p.pts and p.pts >= 2200)
        position, size = packet.pos, packet.size
    raw = bytearray(path.read_bytes())
    raw[position : position + size + 8] = bytes(size + 8)
    path.write_bytes(raw)
    with pytest.raises(VideoError, match=r"d.mkv: .*(does not decode|has no frame|of 4 frames)"):
        decode_frames(path, spec(fps=10.0, min_frames=4, max_frames=4), (2.0, 2.4))


def test_time_limit(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 30, 10)
    with pytest.raises(
        VideoError, match=r"decoding took longer than 0.0001 s; raise video.timeout"
    ):
        decode_frames(path, SPEC, timeout_seconds=0.0001)


def _odd() -> list[str]:
    return sorted(p.name for p in (SHARED_VIDEOS / "odd").glob("*")) or ["absent"]


@pytest.mark.parametrize("name", _odd())
def test_odd_files_decode_as_their_manifest_says_or_give_one_line(name: str) -> None:
    path = SHARED_VIDEOS / "odd" / name
    if not path.exists():
        pytest.skip("the shared videos are absent")
    about = manifest()[f"odd/{name}"]
    one = spec(fps=120.0, max_frames=64, frames_per_group=1, min_frames=1)
    if name in ODD_ERRORS:
        with pytest.raises(VideoError) as caught:
            decode_frames(path, one, timeout_seconds=60)
        assert ODD_ERRORS[name] in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    if name == "decord_corrupted.mp4":
        with pytest.raises(VideoError, match=r"does not decode \(49 frames do\)"):
            decode_frames(path, one, timeout_seconds=60)
        return
    info = read_info(path)
    width, height = str(about["ffmpeg_cli"]["size"]).split("x")
    sar = Fraction(info.width_px, int(width))
    assert info.height_px == int(height)
    assert (
        name in ("mediabunny_sar_2x1.mp4", "mp4parse_h263_1f.3gp", "torchcodec_non_zero_start.mp4")
        or sar == 1
    )
    frames = decode_frames(path, one, timeout_seconds=60)
    decodable = int(about["ffmpeg_cli"]["frames"])
    seen = len(set(frames.pts_seconds.tolist()))
    assert seen <= decodable
    if decodable <= 32 and "vfr" not in name:
        assert seen == decodable
    assert frames.pts_seconds[0] >= 0
    assert frames.pts_seconds[-1] < info.duration_seconds
