"""Pictures as a player shows them: frames selected by time, without fields, in the colors of SDR.

These steps are part of the sampling contract. They leave frames of other videos as they are, so
the hash of the contract does not change with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from videolatent_cli.video.info import VideoInfo

_WHITE_NITS = 203
"""Luminance of white paper in high dynamic range. Source: ITU-R BT.2408."""
_TONE_MAP = {"tonemap": "mobius", "param": 0.8, "peak": 10, "desat": 0}
"""Options of ffmpeg's filter `tonemap`.

Choice: up to 0.8 of white nothing changes, so that faces and paper look as in SDR; lights above it,
up to ten times as bright, share the rest. Hable's curve, which many tools use, shows white as grey.
"""
_TRANSFERS = {"pq": "smpte2084", "hlg": "arib-std-b67"}
_UNKNOWN_TAG = 2
"""Number of an unnamed color property (ITU-T H.273)."""
_EXTRA_TICKS = 4
"""Number of ticks past the last selected frame at which the input of the deinterlacer ends."""


def selected(stream: Any, info: VideoInfo, times: Sequence[Fraction]) -> Any:  # noqa: ANN401 - ffmpeg-python's nodes share no useful type
    """Return an ffmpeg-python stream of the frames at some times of the file's clock, in order."""
    if info.interlaced:
        # The deinterlacer gives a frame only after the next one, or after the end of its input.
        end = float(times[-1] + _EXTRA_TICKS * info.tick_seconds)
        stream = stream.filter("trim", end=f"{end:.6f}")
    # The filter compares times as floats: select frames within half a tick of each time.
    return stream.filter("select", _is_one_of(times, info.tick_seconds / 2))


def _is_one_of(times: Sequence[Fraction], tolerance: Fraction) -> str:
    """Return an expression of ffmpeg that is 1 at some rising times, and 0 elsewhere.

    Choice: a binary search. ffmpeg refuses sums of more than 100 terms, and would compute all of
    them for each frame.
    """
    if len(times) == 1:
        low, high = float(times[0] - tolerance), float(times[0] + tolerance)
        return f"between(t,{low:.9f},{high:.9f})"
    middle = len(times) // 2
    earlier, later = (_is_one_of(part, tolerance) for part in (times[:middle], times[middle:]))
    return f"if(lt(t,{float(times[middle] - tolerance):.9f}),{earlier},{later})"


def as_displayed(stream: Any, info: VideoInfo) -> Any:  # noqa: ANN401
    """Return an ffmpeg-python stream of frames without fields, in the colors of SDR.

    Choice: `estdif` computes missing rows from the frame alone. Filters that compare frames would
    give another picture after a seek than in a run from the start.
    """
    if info.interlaced:
        stream = stream.filter("estdif", mode="frame", deint="interlaced")
    if info.dynamic_range != "sdr":
        stream = _tone_mapped(stream, info)
    return stream


def _tone_mapped(stream: Any, info: VideoInfo) -> Any:  # noqa: ANN401
    """Return an ffmpeg-python stream in the colors of BT.709, with the white of SDR."""
    tags = {"color_trc": _TRANSFERS[info.dynamic_range]}
    primaries, matrix = info.color_tags
    # A file that names its curve only is taken for the usual kind.
    if primaries == _UNKNOWN_TAG:
        tags["color_primaries"] = "bt2020"
    if matrix == _UNKNOWN_TAG:
        tags["colorspace"] = "bt2020nc"
    stream = stream.filter("setparams", **tags)
    stream = stream.filter("zscale", transfer="linear", npl=_WHITE_NITS)
    stream = stream.filter("format", "gbrpf32le").filter("zscale", primaries="bt709")
    stream = stream.filter("tonemap", **_TONE_MAP)
    stream = stream.filter("zscale", transfer="bt709", matrix="gbr", range="full")
    return stream.filter("format", "gbrp")
