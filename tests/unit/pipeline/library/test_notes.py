"""Notes about files are found, filtered and kept."""

from pathlib import Path

import pytest

from tests.libraries import LIBRARY, names, run
from videolatent_cli.errors import DataError
from videolatent_cli.pipeline.library.maintenance import show_file
from videolatent_cli.pipeline.library.notes import read_notes


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


def test_notes_are_columns_besides_the_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "n.jsonl").write_text(
        '{"video": "a.mp4", "year": 1953, "place": "Köln"}\n{"video": "gone.mp4"}\n'
    )
    assert read_notes(tmp_path / "n.jsonl") == {
        tmp_path / "a.mp4": '{"place": "Köln", "year": 1953}',
        tmp_path / "gone.mp4": "{}",
    }
    (tmp_path / "n.jsonl").write_text('{"video": ""}\n{"place": "x"}\n')
    with pytest.raises(DataError) as caught:
        read_notes(tmp_path / "n.jsonl")
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["1", "2"]
