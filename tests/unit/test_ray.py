"""A Ray cluster of two workers: the same rows and answers, whatever is killed."""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import write_jsonl
from tests.libraries import LIBRARY, all_segments, run
from tests.ray_work import Work
from videolatent_cli.data.eventworld.files import render_dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    ResourceError,
    SetupError,
    UsageError,
)
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.batch import BatchRequest, answer_batch
from videolatent_cli.pipeline.library.maintenance import library_problems
from videolatent_cli.pipeline.runs.trained_model import open_worker_model
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.ray_pool import RayPool, _check_address

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two workers."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_killed_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    with RayPool(2, Work, tmp_path) as pool:
        assert list(pool.map("twice", range(9))) == [2 * item for item in range(9)]
        assert (tmp_path / "killed").exists()
        with pytest.raises(DataError, match=r"^f: is bad; mend it$"):
            list(pool.map("fail", [0]))
        with pytest.raises(ResourceError, match="ray: workers died 4 times on one item, got"):
            list(pool.map("fail", [1]))
    with RayPool(1, Work, tmp_path) as pool:  # the cluster is still there
        assert list(pool.map("twice", [1])) == [2]
    with pytest.raises(UsageError, match="--jobs: must be at most the 2 CPUs"), RayPool(3, Work):
        pass


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


def test_answers_by_workers_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    render_dataset(tmp_path, {"val": 3}, ["1-2 hops"], 4)
    (tmp_path / "broken.mp4").write_bytes(b"x")
    rows = [
        {"id": t.id, "question": t.question, "video": t.video}
        for t in read_triplets(tmp_path / "val.jsonl")
    ]
    write_jsonl(tmp_path / "q.jsonl", [*rows, {"id": "b", "question": "q", "video": "broken.mp4"}])
    found = []
    for workers in (None, 2):
        out = Path(f"{workers}.jsonl")
        request = BatchRequest(Path("q.jsonl"), out, Path(), questions_at_once=4, workers=workers)
        assert answer_batch(request, Machine(Path(f"cache{workers}"), "cpu")).failed == 1
        answers = [Answer.model_validate_json(line) for line in out.read_text().splitlines()]
        found.append({one.id: one for one in answers})
    for name, one in found[0].items():
        other = found[1][name]
        assert (other.answer, other.status, other.model) == (one.answer, one.status, one.model)
        assert other.evidence == one.evidence
        assert other.warnings == one.warnings


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IncompatibleError, match="embedded: a worker would compute other features"):
        open_worker_model("embedded", "another", "cpu")
    with pytest.raises(SetupError, match="RAY_ADDRESS: nothing answers, got '127"):
        _check_address("127.0.0.1:9")
    _check_address("auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(SetupError, match="--engine ray: ray is missing"),
        RayPool(1, Work),
    ):
        pass
