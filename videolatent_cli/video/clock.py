"""Clocks of streams: times of packets that never jump back, and their first and last moments."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from av.format import Flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from av import Packet
    from av.container import InputContainer
    from av.stream import Stream

_TS_DISCONT: int = Flags["ts_discont"].value  # type: ignore[assignment] # an int, not a Flags
"""Flag of containers whose clock may be set anew."""
_SINGLE_FRAME_FPS = 25
"""Assumed frame rate of a file with a single frame."""
_LONGEST_GAP_SECONDS = 10
"""Gap (s) between packets above which the clock of a joined file counts as set anew, as in ffmpeg
(`-dts_delta_threshold`). A shorter gap is one of the recording."""
_LARGEST_STEP_BACK_SECONDS = Fraction(1, 10)
"""Step back (s) of decoding times above which a clock counts as set anew, as in ffmpeg."""


class PacketClock:
    """Times of one stream's packets, on one clock that goes forward.

    The clock of a transport or program stream can be set anew anywhere: files are joined with
    `cat`, recorders restart. Each part then continues where the part before ends.

    Source: the correction of ffmpeg's own demuxer (`ts_discontinuity_detect`).
    """

    def __init__(self, container: InputContainer, stream: Stream) -> None:
        assert stream.time_base is not None
        self._base = stream.time_base
        self._may_jump = bool(container.format.flags & _TS_DISCONT)
        self._has_times = stream.start_time is not None
        self._gap = int(_LONGEST_GAP_SECONDS / self._base)
        self._step_back = int(_LARGEST_STEP_BACK_SECONDS / self._base)
        self._ticks: list[int] = []
        self._last_end = 0
        self._shift = 0
        self._last: int | None = None
        self._next = 0
        self.jumps = 0
        """Number of places where the clock was set anew."""
        self.rises = True
        """Whether presentation times rise from packet to packet; they do not with B-frames."""
        self.delays = False
        """Whether the presentation time of a packet differs from its decoding time."""

    def add(self, packet: Packet[Stream]) -> None:
        """Take the next packet of the stream."""
        duration = packet.duration or 0
        if packet.pts is None:
            if packet.size and not self._has_times:
                # Raw streams have no times: each frame starts where the one before ends.
                self._append(self._next, duration)
                self._next += duration
            return
        decoded = (packet.dts if packet.dts is not None else packet.pts) + self._shift
        if self._may_jump and self._last is not None:
            step = decoded - self._next
            if abs(step) > self._gap or decoded < self._last - self._step_back:
                self._shift -= step
                decoded = self._next
                self.jumps += 1
        self._last, self._next = decoded, decoded + duration
        self.delays |= packet.dts is not None and packet.pts != packet.dts
        if not packet.is_discard:
            self._append(packet.pts + self._shift, duration)

    def _append(self, ticks: int, duration: int) -> None:
        """Add the start and the duration of a shown packet (ticks)."""
        self.rises &= not self._ticks or ticks > self._ticks[-1]
        self._ticks.append(ticks)
        self._last_end = max(self._last_end, ticks + duration)

    @property
    def times(self) -> list[Fraction]:
        """Presentation times (s), sorted."""
        return [ticks * self._base for ticks in sorted(self._ticks)]

    @property
    def span(self) -> tuple[Fraction, Fraction] | None:
        """Start of the first packet and end of the last one (s); None without packets."""
        if not self._ticks:
            return None
        return min(self._ticks) * self._base, self._last_end * self._base


def read_clocks(container: InputContainer, streams: Sequence[Stream]) -> list[PacketClock]:
    """Return the clocks of streams, read from their packets from the current position on."""
    clocks = {stream.index: PacketClock(container, stream) for stream in streams}
    for packet in container.demux(*streams):
        clocks[packet.stream.index].add(packet)
    return [clocks[stream.index] for stream in streams]


def usual_gap(times: Iterable[Fraction]) -> Fraction:
    """Return the median time (s) between consecutive frames; 1/25 s for a single frame.

    Packet durations are not used: they are 1 ms in files that claim 1,000 frames per second.
    """
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    return gaps[len(gaps) // 2] if gaps else Fraction(1, _SINGLE_FRAME_FPS)
