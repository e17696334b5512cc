"""Frames as a player shows them: HDR as SDR, no combs, square pixels."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.factories import frame_number, make_video
from videolatent_cli.errors import SetupError
from videolatent_cli.video import ffmpeg as ffmpeg_module
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.ffmpeg import execute, ffmpeg_binary
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

SPEC = SamplingSpec(2.0, 4, 4, 3136, 100352, "ffmpeg", 2, 2)
_FROM_709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""From linear BT.709 to linear BT.2020."""


def _pq(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of SMPTE 2084, with white at 203 nits."""
    y = (np.maximum(linear * 203, 1e-6) / 10_000) ** 0.1593017578125
    signal: NDArray[np.float64] = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    return signal


def _hlg(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of hybrid log-gamma, with white at 75 %."""
    light = linear * 0.265
    high = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), high)


def make_hdr(path: Path, curve: str, *, tags: bool = True) -> Path:
    """A video whose left half is white paper and whose right half is red (180, 0, 0)."""
    rgb = np.zeros((64, 256, 3))
    rgb[:, :128], rgb[:, 128:] = 1.0, [0.456, 0, 0]
    signal = {"smpte2084": _pq, "arib-std-b67": _hlg}[curve](rgb @ _FROM_709.T)
    luma = signal @ np.array([0.2627, 0.6780, 0.0593])
    blue, red = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    planes = [64 + 876 * luma, (512 + 896 * blue)[::2, ::2], (512 + 896 * red)[::2, ::2]]
    raw = b"".join(np.round(plane).astype("<u2").tobytes() for plane in planes) * 6
    parameters = f"log-level=none:crf=5:transfer={curve}"
    if tags:
        parameters += ":colorprim=bt2020:colormatrix=bt2020nc"
    command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-f", "rawvideo", "-s", "256x64"]
    command += ["-pix_fmt", "yuv420p10le", "-r", "6", "-i", "pipe:0", "-c:v", "libx265"]
    command += ["-x265-params", parameters, "-color_trc", curve, str(path)]
    subprocess.run(command, input=raw, check=True)
    return path


@pytest.mark.parametrize("resize", ["ffmpeg", "torch"])
@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("tags", [True, False])
def test_hdr_looks_like_sdr(tmp_path: Path, curve: str, resize: str, *, tags: bool) -> None:
    path = make_hdr(tmp_path / "hdr.mp4", curve, tags=tags)
    assert read_info(path).dynamic_range == {"smpte2084": "pq", "arib-std-b67": "hlg"}[curve]
    assert "high dynamic range" in read_info(path).remarks[0]
    frame = decode_frames(path, replace(SPEC, resize=resize)).data[0].astype(float)
    assert frame[:, 10:118].mean((0, 1)) == pytest.approx([244, 244, 244], abs=6)
    assert frame[:, 138:246].mean((0, 1)) == pytest.approx([176, 8, 8], abs=15)


def test_ordinary_video_is_left_as_it_is(tmp_path: Path) -> None:
    info = read_info(make_video(tmp_path / "a.mp4", 8, 4))
    assert (info.dynamic_range, info.interlaced, info.remarks) == ("sdr", False, ())


def make_interlaced(path: Path) -> Path:
    """A bar that moves between the fields of a frame."""
    columns = np.arange(128)

    def field(index: int) -> NDArray[np.uint8]:
        row = (columns >= index * 6 % 112) & (columns < index * 6 % 112 + 16)
        return np.repeat(np.where(row, 255, 0).astype(np.uint8)[None, :, None], 3, 2)

    frames = []
    for index in range(50):
        frame = np.repeat(field(2 * index), 64, 0)
        frame[1::2] = field(2 * index + 1)
        frames.append(frame)
    command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-f", "rawvideo", "-s", "128x64"]
    command += ["-pix_fmt", "rgb24", "-r", "25", "-i", "pipe:0", "-vf", "setfield=tff"]
    command += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-x264opts", "tff=1", "-crf", "10"]
    subprocess.run([*command, "-g", "10", str(path)], input=np.stack(frames).tobytes(), check=True)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_interlaced_frames_have_no_comb(tmp_path: Path, name: str) -> None:
    path = make_interlaced(tmp_path / name)
    assert read_info(path).remarks == ("it is interlaced, fields are taken apart",)
    spec = replace(SPEC, resize="torch")
    frames = decode_frames(path, spec)
    rows = frames.data.astype(float).mean(-1)
    assert np.abs(np.diff(rows, axis=1)).mean() < 1.0
    assert rows.max() > 200
    # The frame at 1.75 s, whether its run starts at the file or at a key frame.
    alone = decode_frames(path, replace(spec, min_frames=1, max_frames=1), (1.74, 1.76))
    assert alone.pts_seconds[0] == frames.pts_seconds[3] == pytest.approx(1.72)
    assert np.array_equal(alone.data[0], frames.data[3])


@pytest.mark.parametrize(("sar", "shown"), [("2/1", (256, 64)), ("1/2", (64, 64))])
@pytest.mark.parametrize("resize", ["ffmpeg", "torch"])
def test_pixels_that_are_not_square_are_scaled(
    tmp_path: Path, sar: str, shown: tuple[int, int], resize: str
) -> None:
    path = make_video(tmp_path / "a.mp4", 8, 4, options=("-vf", f"setsar={sar}"))
    info = read_info(path)
    assert (info.size_px, info.stored_size_px) == (shown, (128, 64))
    frames = decode_frames(path, replace(SPEC, resize=resize))
    assert frames.data.shape[1:] == (shown[1], shown[0], 3)
    assert [frame_number(frame) for frame in frames.data] == [1, 3, 5, 7]


def test_a_missing_filter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = b"[AVFilterGraph @ 0x1] No such filter: 'zscale'\nError opening output files"
    monkeypatch.setattr(
        ffmpeg_module.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=b"", stderr=log)
    )
    node = ffmpeg_module.ffmpeg.input(ffmpeg_module.INPUT).output("pipe:", format="null")
    with pytest.raises(SetupError, match=r"lacks the filter 'zscale', which a.mp4 needs; unset"):
        execute(node, tmp_path / "a.mp4", 1.0)


def test_times_are_selected_by_a_binary_search() -> None:
    from videolatent_cli.video.display import _is_one_of

    expression = _is_one_of([Fraction(1), Fraction(2)], Fraction(1, 4))
    assert expression == (
        "if(lt(t,1.750000000),between(t,0.750000000,1.250000000),"
        "between(t,1.750000000,2.250000000))"
    )
