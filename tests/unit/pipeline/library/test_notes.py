"""Notes about files are found, filtered and kept."""

from pathlib import Path

import pytest

from tests.libraries import LIBRARY, names, run
from videolatent_cli.errors import DataError
from videolatent_cli.pipeline.library.maintenance import show_file


def test_notes_are_found_filtered_and_kept(indexed: Path) -> None:
    notes = indexed / "notes.csv"
    notes.write_text("video,place,year\nval/000001.mp4,Rotterdam,1953\nval/no.mp4,nowhere,1\n")
    assert run(indexed, metadata=notes).new == 1
    assert names("Rotterdam", count=1) == ["000001.mp4"]
    assert names("red", where="notes LIKE '%Rotterdam%'") == ["000001.mp4"]
    assert run(indexed).unchanged == 4
    shown = show_file(LIBRARY, indexed / "val/000001.mp4")
    assert shown["notes"] == {"place": "Rotterdam", "year": "1953"}
    notes.write_text("place\nx\n")
    with pytest.raises(DataError, match=r"notes.csv:2: video: is missing"):
        run(indexed, metadata=notes)
