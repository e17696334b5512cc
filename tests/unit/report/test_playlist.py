"""Lists of moments for players and editing programs."""

import sys
from pathlib import Path

import opentimelineio as otio
import pytest

from videolatent_cli.errors import SetupError, UsageError
from videolatent_cli.report.playlist import Entry, write_playlist

ENTRIES = [
    Entry(Path("/media/a b.mp4"), 1.0, 3.5, "red\nsquare"),
    Entry(Path("/media/c.mkv"), 0.0, 10.0, "blue circle"),
]


def test_m3u_by_hand(tmp_path: Path) -> None:
    write_playlist(tmp_path / "x.m3u", "title", ENTRIES)
    assert (tmp_path / "x.m3u").read_text() == (
        "#EXTM3U\n"
        "#EXTINF:2,red square\n#EXTVLCOPT:start-time=1.000\n#EXTVLCOPT:stop-time=3.500\n"
        "/media/a b.mp4\n"
        "#EXTINF:10,blue circle\n#EXTVLCOPT:start-time=0.000\n#EXTVLCOPT:stop-time=10.000\n"
        "/media/c.mkv\n"
    )


@pytest.mark.parametrize("name", ["x.edl", "x.otio"])
def test_timelines_hold_the_parts_of_the_files(tmp_path: Path, name: str) -> None:
    write_playlist(tmp_path / name, "title", ENTRIES)
    (track,) = otio.adapters.read_from_file(str(tmp_path / name)).tracks
    spans = [
        (clip.name, clip.source_range.start_time.to_seconds(), clip.duration().to_seconds())
        for clip in track.find_clips()
    ]
    assert spans == [
        ("a b.mp4", pytest.approx(1.0), pytest.approx(2.5, abs=0.04)),
        ("c.mkv", pytest.approx(0.0), pytest.approx(10.0)),
    ]


def test_what_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--export: .*'x.txt'"):
        write_playlist(tmp_path / "x.txt", "title", ENTRIES)
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    with pytest.raises(SetupError, match=r"--export: .edl .*pip install"):
        write_playlist(tmp_path / "x.edl", "title", ENTRIES)
    assert list(tmp_path.iterdir()) == []
