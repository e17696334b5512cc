"""Files that decode badly, vanish or change meanwhile cost only themselves."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_video
from tests.libraries import LIBRARY, run
from videolatent_cli.errors import VideoError
from videolatent_cli.pipeline.library.local_builder import LocalBuilder
from videolatent_cli.pipeline.library.maintenance import library_problems
from videolatent_cli.runtime.isolation import Isolation
from videolatent_cli.store.library import Library
from videolatent_cli.store.library_rows import FileRow
from videolatent_cli.video.content import content_id


def test_a_file_that_decodes_badly_takes_its_copies_along(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(media / "val/000000.mp4", media / "copy.mp4")

    def spoiled(isolation: Isolation, function: object, path: Path, *args: object) -> object:
        if getattr(function, "__name__", "") == "decode_frames" and "000000" in path.name:
            raise VideoError(f"{path}: spoiled")
        return whole(isolation, function, path, *args)

    # copy.mp4 comes before val/ and is the one that is decoded
    (media / "copy.mp4").rename(media / "000000.mp4")
    whole = Isolation.run
    monkeypatch.setattr(Isolation, "run", spoiled)
    report = run(media)
    assert len(report.failed) == 2
    assert library_problems(LIBRARY) == []


def test_files_that_vanish_or_change_meanwhile_cost_only_themselves(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late, broken, other = (media / f"{name}.mp4" for name in "abcd")
    for seconds, path in enumerate((early, late, broken, other), 2):
        make_video(path, 4 * seconds, 4)
    set_roots, build = Library.set_roots, LocalBuilder.build

    def set_roots_late(library: Library, roots: list[str]) -> None:
        early.unlink()  # listed, not looked at yet
        set_roots(library, roots)

    def build_late(builder: LocalBuilder, *rest: Any) -> Any:
        late.unlink()  # probed, not decoded yet
        broken.write_bytes(b"no video any more")
        shutil.copy(media / "val/000000.mp4", other)
        return build(builder, *rest)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Library, "set_roots", set_roots_late)
        meanwhile.setattr(LocalBuilder, "build", build_late)
        report = run(media)
    assert report.failed.keys() == {str(path) for path in (early, late, broken, other)}
    assert "file not found" in report.failed[str(early)]
    assert "file not found" in report.failed[str(late)]
    assert "cannot be opened as video" in report.failed[str(broken)]
    assert "has changed since it was first read" in report.failed[str(other)]
    assert library_problems(LIBRARY) == []
    again = run(media)
    assert (again.vanished, list(again.failed)) == (2, [str(broken)])
    copies = {row.content_id for row in Library.open(LIBRARY).files() if row.path == "d.mp4"}
    assert copies == {content_id(media / "val/000000.mp4")}


def test_a_kill_between_segments_and_files_doubles_nothing(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_files = Library.put_files

    def killed(self: Library, rows: list[FileRow]) -> None:
        if any(row.state == "indexed" for row in rows):
            raise KeyboardInterrupt
        put_files(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Library, "put_files", killed)
        with pytest.raises(KeyboardInterrupt):
            run(media)
    assert len(Library.open(LIBRARY).segments) == 4
    assert library_problems(LIBRARY) != []
    assert run(media).new == 4
    assert library_problems(LIBRARY) == []
    assert len(Library.open(LIBRARY).segments) == 4
