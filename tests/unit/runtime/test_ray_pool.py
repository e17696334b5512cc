"""A pool of Ray workers: killed ones lose and double nothing."""

import sys
from pathlib import Path

import pytest

from tests.work import Work
from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    ResourceError,
    SetupError,
    UsageError,
)
from videolatent_cli.pipeline.runs.trained_model import open_worker_model
from videolatent_cli.runtime.ray_pool import RayPool, _check_address

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.xdist_group("ray")]


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
