"""Locks of writers."""

import threading
import time
from pathlib import Path

import pytest

from videolatent_cli.errors import ResourceError
from videolatent_cli.runtime.lock import locked


def test_a_second_holder_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".lock"
    with (
        locked(path, "x: is held"),
        pytest.raises(ResourceError, match=r"^x: is held$"),
        locked(path, "x: is held"),
    ):
        pass
    assert path.exists()
    with locked(path, "free again"):
        pass


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock", "held"):
        raise KeyError
    with locked(tmp_path / "lock", "held"):
        pass


def test_a_waiting_holder_comes_next(tmp_path: Path) -> None:
    held = threading.Event()

    def hold() -> None:
        with locked(tmp_path / "lock", "held"):
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    started = time.perf_counter()
    with locked(tmp_path / "lock", "held", timeout_seconds=-1):
        assert time.perf_counter() - started > 0.2
    thread.join()
