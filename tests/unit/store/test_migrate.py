"""Libraries of earlier layouts are migrated, even after a kill."""

import json
from dataclasses import asdict
from pathlib import Path

import lancedb
import pytest

from tests.libraries import LIBRARY, SUBTITLES, all_segments, names, run
from videolatent_cli.errors import DataError, IncompatibleError
from videolatent_cli.pipeline.library.maintenance import library_problems, migrate_library
from videolatent_cli.store import migrate as migrating


@pytest.mark.parametrize("version", [1, 2])
def test_a_library_of_an_earlier_layout_is_migrated(
    media: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    if version == 2:  # the first that knew subtitles
        (media / "val" / "000000.srt").write_text(SUBTITLES)
    run(media)
    before = all_segments()
    _as_layout(version)
    with pytest.raises(IncompatibleError, match=f"has layout {version}.*vl library migrate -L lib"):
        names("red")
    assert migrate_library(LIBRARY)
    assert not migrate_library(LIBRARY)
    after = all_segments()
    assert [asdict(one) | {"vector": 0} for one in after] == [
        asdict(one) | {"vector": 0} for one in before
    ]
    assert all((a.vector == b.vector).all() for a, b in zip(after, before, strict=True))
    assert run(media).unchanged == 4
    _as_layout(version)
    with monkeypatch.context() as patch:
        patch.setattr(migrating.Manifest, "write", None)  # killed before the new layout counts
        with pytest.raises(TypeError):
            migrate_library(LIBRARY)
    database = lancedb.connect(str(LIBRARY / "library.lancedb"))
    for name in set(database.list_tables().tables) - {"files", "segments_old"}:
        database.open_table(name).delete("true")  # half-made
    assert run(media).unchanged == 4
    assert len(all_segments()) == 4
    assert library_problems(LIBRARY) == []
    with pytest.raises(DataError, match="nowhere: contains no library"):
        migrate_library(Path("nowhere"))


def _as_layout(version: int) -> None:
    """Rewrite the library as an earlier version had it."""
    path = LIBRARY / "library.json"
    stored = json.loads(path.read_text()) | {"version": version}
    database = lancedb.connect(str(LIBRARY / "library.lancedb"))
    for name in database.list_tables().tables:
        part = name.split("_")[0]
        table = database.open_table(name).to_arrow()
        database.drop_table(name)
        earlier = {"transcript": "said", "is_whole_video": "whole", "subtitles_digest": "beside"}
        table = table.rename_columns([earlier.get(name, name) for name in table.column_names])
        if version == 1:
            table = table.drop_columns(["beside", "notes"] if part == "files" else ["said"])
        database.create_table("files" if part == "files" else "segments_old", table)
    if version == 1:
        descriptions = stored.pop("descriptions")
        stored["embedder"] = f"{stored['embedder']} of descriptions by {descriptions}"
        del stored["embedder_spec"]
    path.write_text(json.dumps(stored))
