"""A library made by the workers of a Ray cluster equals one made by one process."""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.libraries import LIBRARY, all_segments, run
from videolatent_cli.pipeline.library.maintenance import library_problems

pytestmark = [
    pytest.mark.usefixtures("ray_cluster"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.slow,
]


def test_a_library_made_by_workers_is_the_same(media: Path) -> None:
    (media / "broken.mp4").write_bytes(b"x")
    alone = run(media)
    before = all_segments()
    LIBRARY.rename("alone")
    Path("cache").rename("cache_alone")
    killer = threading.Thread(target=_kill_a_worker, daemon=True)
    killer.start()
    report = run(media, workers=2)
    killer.join()
    assert report.new == alone.new
    assert report.failed == alone.failed
    assert library_problems(LIBRARY) == []
    after = all_segments()
    assert [vars(a) | {"vector": None} for a in after] == [
        vars(b) | {"vector": None} for b in before
    ]
    assert all((a.vector == b.vector).all() for a, b in zip(after, before, strict=True))
    LIBRARY.rename("again")
    left = set(Path(tempfile.gettempdir()).glob("vl-ray-*"))
    assert run(media, workers=1).segments == alone.segments  # features are in the cache now
    assert set(Path(tempfile.gettempdir()).glob("vl-ray-*")) <= left


def _kill_a_worker() -> None:
    """Kill the first worker that is at work."""
    while True:
        for process in Path("/proc").iterdir():
            try:
                name = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::_Worker.call"):
                os.kill(int(process.name), signal.SIGKILL)
                return
        time.sleep(0.05)
