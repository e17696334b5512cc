"""Rows of a library: bytes of names, round trips through Arrow, manifests of any age."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.libraries import segment
from videolatent_cli.errors import IncompatibleError
from videolatent_cli.store.library_rows import (
    VERSION,
    FileRow,
    Manifest,
    as_file,
    as_segment,
    files_table,
    segments_table,
)

FILE = FileRow(0, b"val/bad\xff.mp4", 7, 8, "failed", "c", 4.0, "why", "d", '{"place": "x"}')
MANIFEST = Manifest("s", "f", "fixed:10s", "d", "lexical-1", "lexical", 4, {}, roots=("/a", "/b"))


def test_files_survive_arrow_with_names_of_any_bytes() -> None:
    (row,) = files_table([FILE]).to_pylist()
    assert as_file(row) == FILE
    assert row["path"] == FILE.path == "val/bad\\xff.mp4"
    assert row["key"] == FILE.key


def test_a_files_key_is_its_root_and_its_name() -> None:
    assert replace(FILE, state="indexed", size_bytes=9).key == FILE.key
    assert replace(FILE, root=1).key != FILE.key
    assert replace(FILE, raw_path=b"val/bad\xfe.mp4").key != FILE.key


def test_segments_survive_arrow_with_and_without_their_picture() -> None:
    vector = np.array([0.6, 0.8, 0, 0], np.float32)
    for picture in (None, b"jpeg"):
        one = replace(segment("c", 1.0, "a red square", vector), thumbnail=picture)
        (row,) = segments_table([one], 4).to_pylist()
        back = as_segment(row)
        assert (back.vector == vector).all()
        assert replace(back, vector=one.vector) == one
        del row["thumbnail"]
        assert as_segment(row).thumbnail is None


def test_a_whole_video_has_an_open_window() -> None:
    part = segment("c", 1.0, "", np.zeros(4, np.float32))
    assert part.window == (1.0, 2.0)
    assert replace(part, is_whole_video=True).window == (None, None)


def test_tables_are_named_by_what_their_rows_depend_on() -> None:
    name = MANIFEST.segments_table
    assert replace(MANIFEST, roots=(), fingerprint="g", speech="w").segments_table == name
    for change in ("sampling", "segments", "descriptions", "embedder"):
        assert replace(MANIFEST, **{change: "other"}).segments_table != name, change


def test_manifests_are_read_as_written_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.json"
    MANIFEST.write(path)
    assert Manifest.read(path) == MANIFEST
    assert [file.name for file in tmp_path.iterdir()] == ["library.json"]
    stored = json.loads(path.read_text())
    for version, words in ((VERSION + 1, "update"), (VERSION - 1, "vl library migrate")):
        path.write_text(json.dumps(stored | {"version": version}))
        with pytest.raises(IncompatibleError, match=f"has layout {version}.*{words}"):
            Manifest.read(path)
    for text in ("{", "[]", "{}", '{"version": "x"}'):
        path.write_text(text)
        with pytest.raises(IncompatibleError, match="is not a library manifest"):
            Manifest.read(path)
