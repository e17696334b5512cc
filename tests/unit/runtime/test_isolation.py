"""Work in processes of its own: a crash, a hang and a glutton cost one file each."""

import os
import time
from pathlib import Path

import pytest

from videolatent_cli.errors import VideoError
from videolatent_cli.runtime.isolation import Isolation


def crash(path: Path) -> None:
    os._exit(9)


def hang(path: Path) -> None:
    time.sleep(60)


def gorge(path: Path) -> int:
    return len(bytearray(64 << 30))


def name_of(path: Path, suffix: str) -> str:
    return path.name + suffix


def test_a_crash_a_hang_and_a_glutton_cost_one_file_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("videolatent_cli.runtime.isolation._GRACE_SECONDS", 0.0)
    with Isolation(1, 1.0) as isolation:
        path = Path("a.mp4")
        with pytest.raises(VideoError, match=r"a.mp4: crashed the program that read it .*9"):
            isolation.run(crash, path)
        with pytest.raises(VideoError, match=r"a.mp4: took longer than 1 s to read"):
            isolation.run(hang, path)
        with pytest.raises(VideoError, match=r"a.mp4: took more than 8 GiB to read"):
            isolation.run(gorge, path)
        assert isolation.run(name_of, path, "!") == "a.mp4!"
