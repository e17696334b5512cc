"""A disk that is full or read-only."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_or_read_only_disk_loses_nothing(
    vl: Callable[..., Result], media: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        full = vl("index", media, "-L", disk / "lib")
        assert full.code == 5
        assert "is full; free space and run the same command again" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
        assert vl("index", media, "-L", disk / "lib").code == 0
        assert "no problems found" in vl("library", "verify", "-L", disk / "lib").stdout
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert "val/" in vl("search", "red", "-L", disk / "lib", "-f").stdout
        refused = vl("index", media, "-L", disk / "lib")
        assert refused.code == 5
        assert "lib/.writer.lock: is read-only; name another folder" in refused.stderr
    finally:
        subprocess.run(["umount", disk], check=True)
