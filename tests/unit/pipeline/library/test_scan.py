"""Scanning folders: names of any bytes, loops, patterns, wrong paths."""

import os
from pathlib import Path

import pytest

from tests.libraries import LIBRARY, ask, run
from videolatent_cli.errors import DataError, UsageError
from videolatent_cli.pipeline.library.maintenance import library_files
from videolatent_cli.pipeline.library.scan import walk_videos
from videolatent_cli.pipeline.library.segmenting import parse_segments


def test_strange_names_and_loops(media: Path) -> None:
    strange = [
        b"new\nline.mp4",
        b"bad\xff\xfename.mp4",
        b"-dash and space.mp4",
        "\u00fc\U0001f3a5.mp4".encode(),
    ]
    for number, name in enumerate(strange):
        target = os.fsencode(media) + b"/" + name
        Path(os.fsdecode(target)).write_bytes((media / f"val/{number:06d}.mp4").read_bytes())
    (media / "loop").symlink_to(media)
    (media / "dangling.mp4").symlink_to(media / "nowhere.mp4")
    (media / ".hidden.mp4").write_bytes(b"x")
    report = run(media)
    assert (report.new, report.segments) == (8, 4)
    (Path(os.fsdecode(os.fsencode(media) + b"/bad\xff.mp4"))).write_bytes(b"x")
    (reason,) = run(media).failed.values()
    assert "bad\\xff.mp4: cannot be opened as video" in reason
    answer = ask("bad", min_score=0.0, where="path LIKE 'bad%'")
    assert answer.evidence[0].video.endswith("bad\\xff\\xfename.mp4")
    assert "xfename" in answer.model_dump_json()
    paths = {path for path, _ in library_files(LIBRARY)}
    assert all(path.exists() for path in paths)
    assert any("\\xff" in row.path for _, row in library_files(LIBRARY))


def test_walk_takes_patterns_and_single_files(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MKV", "c.txt", "sub/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(top: Path, include: str | None = None) -> list[str]:
        return [video.path.name for video in walk_videos(top, include, lambda *_: None)]

    assert found(tmp_path) == ["a.mp4", "b.MKV", "d.mp4"]
    assert found(tmp_path, "*.txt") == ["c.txt"]
    assert found(tmp_path / "c.txt") == ["c.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_costs_only_itself(media: Path) -> None:
    hidden = media / "val/000000.mp4"
    hidden.chmod(0)
    report = run(media)
    assert (report.new, list(report.failed)) == (3, [str(hidden)])
    assert "not readable (Permission denied)" in report.failed[str(hidden)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_unreadable_folders_are_said(media: Path) -> None:
    (media / "val").chmod(0)
    try:
        with pytest.raises(DataError, match="holds no video"):
            run(media)
    finally:
        (media / "val").chmod(0o755)


def test_wrong_paths_and_rules(media: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: file not found"):
        run(Path("nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no video; name another folder"):
        run(tmp_path / "empty")
    for text in ("10s", "fixed:0s", "scene"):
        with pytest.raises(UsageError, match=f"--segments: must be like fixed:10s.*got '{text}'"):
            parse_segments(text)
