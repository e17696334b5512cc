"""`vl library`: status, removal, export, compaction, moved roots."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.libraries import LIBRARY, run
from videolatent_cli.errors import DataError
from videolatent_cli.pipeline.library.maintenance import (
    compact_library,
    export_library,
    library_files,
    library_problems,
    library_status,
    relocate_library,
    remove_from_library,
)


def test_status_rm_export_and_compact(indexed: Path) -> None:
    status = library_status(LIBRARY)
    assert status.states == {"indexed": 4}
    assert status.document()["schema"] == "vl.library-status/1"
    assert status.made_with["segments"] == "fixed:10s"
    assert export_library(LIBRARY, Path("x.parquet")) == 4
    assert "thumbnail" in pq.read_table("x.parquet").column_names
    assert export_library(LIBRARY, Path("x.jsonl")) == 4
    line = json.loads(Path("x.jsonl").read_text().splitlines()[0])
    assert Path(line["videos"][0]).exists()
    with pytest.raises(DataError, match=r"x.csv: must end in .parquet or .jsonl, got '.csv'"):
        export_library(LIBRARY, Path("x.csv"))
    assert remove_from_library(LIBRARY, [indexed / "val/000000.mp4"], dry_run=True) == 1
    assert len(library_files(LIBRARY)) == 4
    assert remove_from_library(LIBRARY, [indexed / "val/000000.mp4"], dry_run=False) == 1
    assert library_status(LIBRARY).segments == 3
    with pytest.raises(DataError, match=r"no.mp4: not in lib; 'vl library ls' lists"):
        remove_from_library(LIBRARY, [Path("no.mp4")], dry_run=False)
    compact_library(LIBRARY)
    assert library_problems(LIBRARY) == []


def test_moved_roots_are_not_read_again(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = indexed.with_name("moved")
    indexed.rename(moved)
    with pytest.raises(DataError, match="has no root"):
        relocate_library(LIBRARY, "/nope", moved)
    with pytest.raises(DataError, match="is not a folder"):
        relocate_library(LIBRARY, str(indexed), Path("nope"))
    relocate_library(LIBRARY, str(indexed), moved)
    monkeypatch.setattr("videolatent_cli.pipeline.library.indexer.open_model", None)
    assert run(moved).unchanged == 4
    assert all(path.exists() for path, _ in library_files(LIBRARY))
