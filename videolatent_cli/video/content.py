"""Content ids of files: hashes of every byte, each file hashed once."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import VideoError

if TYPE_CHECKING:
    from os import stat_result

_SMALL_BYTES = 16 << 20
"""Size up to which a file is hashed again in each process, which takes about 10 ms."""
_SMALL_DIGITS, _DIGITS = 32, 40
"""Length of the ids of files up to 16 MiB, and of larger files."""
_BLOCK_BYTES = 1 << 20

_known: dict[tuple[object, ...], str] = {}
"""Ids of files that this process has hashed, by path, size, time and inode."""
_folders: list[Path] = []
"""Folder that keeps the ids of large files between processes; empty: they are not kept."""


def keep_ids(folder: Path) -> None:
    """Keep the ids of large files in a folder from now on, so that later processes find them."""
    _folders[:] = [folder / "content-ids"]


def content_id(path: Path) -> str:
    """Return the content id of a file, hexadecimal digits that do not depend on its name.

    Choice: SHA-256 of the size and of every byte. Files with equal ids have equal content; blocks
    of a file, which are faster to read, would make one video of two recordings that differ between
    the blocks. A file is hashed again only if its path, size, modification time or inode changes.

    Ids have 32 digits; those of files above 16 MiB have 40. Earlier versions hashed blocks of these
    files to 32 digits, so the length tells an earlier id (`is_current`).

    Raises:
        VideoError: If the file is missing or not readable.
    """
    try:
        stat = path.stat()
        version = _version(path, stat)
        if version not in _known:
            kept = _kept(version, stat.st_size)
            _known[version] = kept or _hashed(path, stat.st_size)
            if kept is None:
                _keep(version, stat.st_size)
    except OSError as error:
        raise _unreadable(path, error) from None
    return _known[version]


def is_current(content: str, size_bytes: int) -> bool:
    """Whether an id of a file of some size was made by this version; False: from its blocks."""
    return size_bytes <= _SMALL_BYTES or len(content) == _DIGITS


def check_content(path: Path, content: str) -> None:
    """Raise an error if the content of a file is not the expected one.

    Args:
        path: The file.
        content: Expected content id; empty: any content is accepted.

    Raises:
        VideoError: If the file has changed, is missing, or is not readable.
    """
    if content and content_id(path) != content:
        raise VideoError(
            f"{path}: has changed since it was first read; run the same command again "
            "(for a file of a library, run vl index first)"
        )


def file_version(path: Path) -> tuple[object, ...]:
    """Return values of which at least one changes when a file gets another content.

    Raises:
        VideoError: If the file is missing or not readable.
    """
    try:
        return _version(path, path.stat())
    except OSError as error:
        raise _unreadable(path, error) from None


def _version(path: Path, stat: stat_result) -> tuple[object, ...]:
    """Return path, size, modification time (ns) and inode of a file."""
    return os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ino  # noqa: PTH100


def _hashed(path: Path, size: int) -> str:
    """Return the id of a file of a known size, from all its bytes."""
    sha = hashlib.sha256(str(size).encode())
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(_BLOCK_BYTES))
        while read := file.readinto(block):
            sha.update(block[:read])
    return sha.hexdigest()[: _SMALL_DIGITS if size <= _SMALL_BYTES else _DIGITS]


def _kept(version: tuple[object, ...], size: int) -> str | None:
    """Return the id of a large file that an earlier process has kept; None if there is none."""
    for file in _kept_files(version, size):
        try:
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            continue
        if re.fullmatch(f"[0-9a-f]{{{_DIGITS}}}", text):  # a power cut can leave an empty file
            return text
    return None


def _keep(version: tuple[object, ...], size: int) -> None:
    """Keep the id of a large file; a folder that cannot be written only costs time later."""
    for file in _kept_files(version, size):
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        try:
            file.parent.mkdir(exist_ok=True)
            part.write_text(_known[version], encoding="ascii")
            part.replace(file)
        except OSError:
            continue


def _kept_files(version: tuple[object, ...], size: int) -> list[Path]:
    """Return the file that keeps the id of a large file; none for a small file."""
    name = hashlib.sha256(repr(version).encode("utf-8", "surrogateescape")).hexdigest()
    return [folder / name for folder in _folders] if size > _SMALL_BYTES else []


def _unreadable(path: Path, error: OSError) -> VideoError:
    """Return the error for a file that is missing or not readable."""
    return VideoError(f"{path}: file not found or not readable ({error.strerror})")
