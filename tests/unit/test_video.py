"""Sampling arithmetic, probing and exact frames of real files, odd ones too."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.factories import (
    SHARED_VIDEOS,
    frame_batch,
    frame_number,
    make_video,
    manifest,
)
from videolatent_cli.errors import SetupError, VideoError
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.video import decode, ffmpeg
from videolatent_cli.video.content import content_id
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec
from videolatent_cli.video.sheet import contact_sheet, write_sheet

SPEC = SamplingSpec(2.0, 4, 16, 4096, 128 * 64, "ffmpeg", 16, 2)


def spec(**changes: object) -> SamplingSpec:
    return replace(SPEC, **changes)


# --- arithmetic


def test_number_of_frames_by_hand() -> None:
    assert SPEC.num_frames(0.1) == 4
    assert SPEC.num_frames(3.9) == 6  # 7 frames, made a multiple of 2
    assert SPEC.num_frames(100.0) == 16
    assert spec(min_frames=1, max_frames=1).num_frames(9) == 1
    assert spec(fps=4.0, min_frames=2, max_frames=32).num_frames(4.0) == 16


def test_times_are_middles_of_equal_stretches() -> None:
    assert SPEC.times(4.0).tolist() == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]
    assert SPEC.times(100.0, (10.0, 12.0)).tolist() == [10.25, 10.75, 11.25, 11.75]


def test_frame_size_by_hand() -> None:
    assert SPEC.frame_size(128, 64) == (128, 64)
    assert SPEC.frame_size(1920, 1080) == (112, 64)
    assert SPEC.frame_size(4, 4) == (64, 64)
    assert SPEC.frame_size(4000, 10) == (1808, 16) or SPEC.frame_size(4000, 10)[1] == 16


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_frame_size_is_a_multiple_within_the_budget(width: int, height: int) -> None:
    w, h = SPEC.frame_size(width, height)
    assert w % 16 == h % 16 == 0
    assert w * h <= 128 * 64 or min(w, h) == 16


@given(st.floats(0.01, 1e5), st.floats(0.1, 60), st.integers(1, 64))
def test_times_lie_inside_and_rise(duration: float, fps: float, most: int) -> None:
    one = spec(fps=fps, min_frames=1, max_frames=most)
    times = one.times(duration)
    assert len(times) == one.num_frames(duration) <= max(most, 1)
    assert times[0] > 0
    assert times[-1] < duration
    assert (np.diff(times) > 0).all()


def test_contract_hash_and_difference() -> None:
    assert SPEC.hash == spec().hash != spec(fps=3.0).hash
    assert SPEC.difference(spec(max_frames=32)) == "max_frames 16 and 32"
    video = parse_recipe("version: 1\ndata: {type: eventworld}\n", "r").video
    assert SamplingSpec.of(video, 28, 2).max_pixels == 128 * 28 * 28


# --- exact frames


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


def test_torch_resize_is_the_processors_own(tmp_path: Path) -> None:
    import torch

    path = make_video(tmp_path / "big.mp4", 4, 4, size=(256, 128))
    native = decode_frames(path, spec(max_pixels=256 * 128, resize="torch"))
    small = decode_frames(path, spec(resize="torch"))
    data = torch.from_numpy(native.data).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(data, (64, 128), mode="bicubic", antialias=True)
    assert np.array_equal(small.data, wanted.permute(0, 2, 3, 1).numpy())
    close = decode_frames(path, spec(resize="ffmpeg"))
    assert np.abs(close.data.astype(int) - small.data).mean() < 1.0


# --- files that are broken


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


def test_content_id_is_of_the_content(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 4, 4)
    copy = tmp_path / "b.mp4"
    shutil.copy(path, copy)
    assert content_id(path) == content_id(copy)
    copy.write_bytes(copy.read_bytes() + b"x")
    assert content_id(path) != content_id(copy)


def test_ffmpeg_binary_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ffmpeg_binary()
    ffmpeg_binary.cache_clear()
    monkeypatch.setenv("VL_FFMPEG", found)
    assert ffmpeg_binary() == found
    ffmpeg_binary.cache_clear()
    monkeypatch.setenv("VL_FFMPEG", "no-such-ffmpeg")
    with pytest.raises(SetupError, match="VL_FFMPEG: must name a program, got 'no-such-ffmpeg'"):
        ffmpeg_binary()
    monkeypatch.delenv("VL_FFMPEG")
    ffmpeg_binary.cache_clear()


def test_ffmpeg_missing_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise RuntimeError("no binary")

    ffmpeg_binary.cache_clear()
    monkeypatch.setattr(ffmpeg.imageio_ffmpeg, "get_ffmpeg_exe", nothing)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match="ffmpeg: not found; pip install imageio-ffmpeg"):
        ffmpeg_binary()
    ffmpeg_binary.cache_clear()


# --- the shared odd files


ODD_ERRORS = {
    "exo_audio_only_opus.mp4": "has no video stream (found: audio)",
    "exo_clearkey_encrypted.mp4": "cannot be opened as video",
    "exo_vp9_invalid_bitstream.webm": "no frame can be decoded",
    "mediabunny_annexb_truncated.mp4": "is truncated",
    "mp4parse_chunk_out_of_range.mp4": "cannot be opened as video",
}


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


# --- contact sheets


def test_contact_sheet_marks_evidence(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_sheet(contact_sheet(frame_batch(0, 6), "What?\nred", [0.1, 0.9, 0, 0, 0, 0], [1]), path)
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert pixels.shape[1] == 4 * (240 + 8) + 8
    orange = (pixels == (230, 120, 0)).all(-1)
    columns = np.nonzero(orange.any(0))[0]
    assert columns.min() > 240
    assert columns.max() < 2 * 256
    write_sheet(contact_sheet(frame_batch(0, 1), "no weights"), path)
    assert path.exists()
