"""Files that a scan passes over, and files with the ids of earlier versions."""

from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from videolatent_cli.pipeline.library.scan import scan, walk_videos

CAMERA = ["a.m2t", "b.MOD", "c.tod", "d.dv", "e.f4v", "f.divx", "g.ogm", "h.rm", "i.rmvb", "j.3g2"]


@pytest.fixture
def told() -> list[str]:
    """The lines that are logged."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


def found(folder: Path, include: str | None = None) -> list[str]:
    return [video.path.name for video in walk_videos(folder, include, lambda *_: None)]


def test_files_of_cameras_are_videos(tmp_path: Path, told: list[str]) -> None:
    for name in CAMERA:
        (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == sorted(CAMERA)
    assert told == []


def test_files_that_are_passed_over_are_counted(tmp_path: Path, told: list[str]) -> None:
    for name in ("a.mp4", "a.srt", "b.webp", "c.webp", "sub/d", ".hidden.xyz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == ["a.mp4"]
    assert told == [
        f"{tmp_path}: passed over 3 files with other endings (.webp, none); "
        "--include '*.ENDING' takes those"
    ]
    assert found(tmp_path, "*.webp") == ["b.webp", "c.webp"]
    assert len(told) == 1


def test_large_files_with_ids_of_earlier_versions_are_read_again(tmp_path: Path) -> None:
    for name, size in (("large.avi", 17 << 20), ("small.avi", 1000)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    fresh = scan([tmp_path], None, (), (), retry_failed=False)

    def todo(digits: int) -> list[str]:
        rows = [replace(file.row, content_id="a" * digits) for file in fresh.todo]
        again = scan([tmp_path], None, fresh.roots, rows, retry_failed=False)
        return [file.video.path.name for file in again.todo]

    assert todo(32) == ["large.avi"]
    assert todo(40) == []
