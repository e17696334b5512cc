"""Playlists: moments of videos in formats of players and editing programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EDL_FPS = 25
"""Frame rate of EDL times. Choice: EDL counts frames at one rate, which files of any rate fit by
time."""
_OTIO_RATE = 1000
"""Rate of OpenTimelineIO times: milliseconds."""


@dataclass(frozen=True)
class Entry:
    """Moment of a video."""

    path: Path
    start_seconds: float
    end_seconds: float
    title: str


def write_playlist(path: Path, title: str, entries: Sequence[Entry]) -> None:
    """Write moments as M3U for players, or as EDL or OpenTimelineIO for editing programs.

    The file name extension chooses the format.

    Raises:
        UsageError: For any other extension.
        SetupError: If the package for EDL and OpenTimelineIO is missing.
    """
    if path.suffix in (".m3u", ".m3u8"):
        text = "".join(["#EXTM3U\n", *map(_m3u, entries)])
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    elif path.suffix in (".edl", ".otio"):
        _write_timeline(path, title, entries)
    else:
        raise UsageError(f"--export: must end in .m3u, .edl or .otio, got '{path.name}'")


def _m3u(entry: Entry) -> str:
    """Return an entry in M3U, with start and stop times as VLC reads them."""
    title = " ".join(entry.title.split())  # an entry's title must fit on one line
    return (
        f"#EXTINF:{entry.end_seconds - entry.start_seconds:.0f},{title}\n"
        f"#EXTVLCOPT:start-time={entry.start_seconds:.3f}\n"
        f"#EXTVLCOPT:stop-time={entry.end_seconds:.3f}\n"
        f"{entry.path.absolute()}\n"
    )


def _write_timeline(path: Path, title: str, entries: Sequence[Entry]) -> None:
    """Write EDL or OpenTimelineIO, by the extension."""
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
