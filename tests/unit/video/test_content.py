"""Content ids: equal content alone has equal ids, and no file is hashed twice."""

import hashlib
import os
from pathlib import Path

import pytest

from videolatent_cli.errors import VideoError
from videolatent_cli.video import content
from videolatent_cli.video.content import check_content, content_id, is_current, keep_ids

LARGE = (16 << 20) + 5_000_000


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_known", {})
    monkeypatch.setattr(content, "_folders", [])


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are hashed."""
    files: list[Path] = []
    original = content._hashed

    def watched(path: Path, size: int) -> str:
        files.append(path)
        return original(path, size)

    monkeypatch.setattr(content, "_hashed", watched)
    return files


def large(path: Path, at: int = 0, byte: bytes = b"\0") -> Path:
    """A file above 16 MiB, zeros but for one byte."""
    with path.open("wb") as file:
        file.truncate(LARGE)
        file.seek(at)
        file.write(byte)
    return path


@pytest.mark.parametrize("at", [0, 3_000_000, LARGE // 2, LARGE - 1])
def test_every_byte_counts(tmp_path: Path, at: int) -> None:
    a, b = large(tmp_path / "a.avi"), large(tmp_path / "b.avi", at, b"\1")
    copy = large(tmp_path / "c.avi", at, b"\1")
    assert content_id(a) != content_id(b) == content_id(copy)
    assert len(content_id(a)) == 40


def test_ids_of_small_files_are_those_of_earlier_versions(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "a.mp4").write_bytes(data)
    wanted = hashlib.sha256(str(len(data)).encode() + data).hexdigest()[:32]
    assert content_id(tmp_path / "a.mp4") == wanted
    assert is_current(wanted, len(data))
    assert not is_current(wanted, LARGE)
    assert is_current(content_id(large(tmp_path / "b.mp4")), LARGE)


def test_a_file_is_hashed_once_however_many_there_are(tmp_path: Path, hashed: list[Path]) -> None:
    files = [tmp_path / f"{index}.mp4" for index in range(5000)]
    for index, file in enumerate(files):
        file.write_bytes(str(index).encode())
    for _ in range(2):
        assert len({content_id(file) for file in files}) == 5000
    assert len(hashed) == 5000


def test_ids_of_large_files_outlive_the_process(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_ids(tmp_path)
    small = tmp_path / "small.mp4"
    small.write_bytes(b"x")
    path = large(tmp_path / "a.avi")
    first = content_id(path)
    content_id(small)
    (kept,) = (tmp_path / "content-ids").iterdir()

    def later() -> str:
        monkeypatch.setattr(content, "_known", {})
        return content_id(path)

    assert later() == first
    assert hashed == [path, small]
    kept.write_bytes(b"")  # as after a power cut
    assert later() == first
    assert hashed == [path, small, path]
    large(path, 3_000_000, b"\1")
    assert later() != first
    os.utime(path, ns=(1, 1))
    later()
    assert hashed[3:] == [path, path]


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keep_ids(tmp_path / "file")
    assert content_id(large(tmp_path / "a.avi"))
    keep_ids(tmp_path / "gone")
    assert content_id(large(tmp_path / "b.avi"))
    assert not (tmp_path / "gone").exists()


def test_a_changed_or_missing_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    check_content(path, content_id(path))
    check_content(path, "")
    with pytest.raises(VideoError, match=r"a.mp4: has changed since it was first read; run"):
        check_content(path, "0" * 32)
    with pytest.raises(VideoError, match=r"gone.mp4: file not found or not readable"):
        content_id(tmp_path / "gone.mp4")
