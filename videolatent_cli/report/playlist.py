"""Moments of videos as lists that players and editing programs open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EDL_FPS = 25
"""Choice: EDL counts frames of one rate; files of any rate go by time."""
_OTIO_RATE = 1000


@dataclass(frozen=True)
class Entry:
    """One moment."""

    path: Path
    start_seconds: float
    end_seconds: float
    title: str


def write_playlist(path: Path, title: str, entries: Sequence[Entry]) -> None:
    """Write moments as M3U (players), EDL or OpenTimelineIO (editing programs), by the ending.

    Raises:
        UsageError: For any other ending.
        SetupError: Where the package for EDL and OTIO is missing.
    """
    if path.suffix in (".m3u", ".m3u8"):
        text = "".join(["#EXTM3U\n", *map(_m3u, entries)])
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    elif path.suffix in (".edl", ".otio"):
        _write_timeline(path, title, entries)
    else:
        raise UsageError(f"--export: must end in .m3u, .edl or .otio, got '{path.name}'")


def _m3u(entry: Entry) -> str:
    """Return an entry as M3U writes it, with start and stop as VLC reads them."""
    title = " ".join(entry.title.split())
    return (
        f"#EXTINF:{entry.end_seconds - entry.start_seconds:.0f},{title}\n"
        f"#EXTVLCOPT:start-time={entry.start_seconds:.3f}\n"
        f"#EXTVLCOPT:stop-time={entry.end_seconds:.3f}\n"
        f"{entry.path.absolute()}\n"
    )


def _write_timeline(path: Path, title: str, entries: Sequence[Entry]) -> None:
    try:
        import opentimelineio as otio
    except ImportError:
        raise SetupError(
            f"--export: {path.suffix} needs OpenTimelineIO; pip install 'videolatent-cli[timeline]'"
        ) from None
    rate = _EDL_FPS if path.suffix == ".edl" else _OTIO_RATE
    timeline: Any = otio.schema.Timeline(title)
    track: Any = otio.schema.Track(kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(track)
    for entry in entries:
        start = otio.opentime.from_seconds(entry.start_seconds, rate)
        length = otio.opentime.from_seconds(entry.end_seconds - entry.start_seconds, rate)
        track.append(
            otio.schema.Clip(
                name=entry.path.name,
                media_reference=otio.schema.ExternalReference(entry.path.resolve().as_uri()),
                source_range=otio.opentime.TimeRange(start, length),
                metadata={"videolatent": {"title": entry.title}},
            )
        )
    otio.adapters.write_to_file(timeline, str(path))
