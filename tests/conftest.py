"""Fixtures; the makers behind them are in factories.py."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from loguru import logger
from typer.testing import CliRunner

from tests import factories, families, libraries, runs
from videolatent_cli.data.eventworld.files import render_dataset
from videolatent_cli.pipeline.library.index import index
from videolatent_cli.pipeline.library.maintenance import relocate_library
from videolatent_cli.pipeline.library.scan import IndexRequest
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def _quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test: its own folder, one seed, one thread, and no error in the log."""
    monkeypatch.chdir(tmp_path)
    for name in ("VL_CACHE", "VL_FFMPEG", "VL_DEVICE", "VL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    errors: list[str] = []
    logger.remove()
    sink = logger.add(lambda message: errors.append(str(message)), level="ERROR")
    yield
    logger.remove()
    del sink
    assert not errors


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small backbone on disk."""
    return factories.write_small_backbone(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the session shares: EventWorld videos are rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rendered EventWorld videos."""
    folder = tmp_path_factory.mktemp("world")
    render_dataset(folder, {"val": 4}, ["all"], 8)
    return folder


@pytest.fixture(scope="session")
def trained(
    small_folder: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainReport:
    """A small run, trained once; no test may change it."""
    torch.set_num_threads(1)
    run_dir = tmp_path_factory.mktemp("runs") / "small"
    return runs.fit(factories.make_recipe(small_folder), run_dir, cache_dir)


@pytest.fixture
def video(cache_dir: Path, trained: TrainReport) -> Path:
    """A video that it was not trained on."""
    del trained
    return cache_dir / "eventworld-v1/test_iid/000000.mp4"


@pytest.fixture(scope="session", params=families.FAMILIES)
def family_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small random model of each family; no test may change it."""
    return families.write_family(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray cluster of two workers."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def media(world: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change."""
    shutil.copytree(world, tmp_path / "media")
    return tmp_path / "media"


@pytest.fixture(scope="session")
def indexed_world(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the videos, their library, and the cache of their features."""
    folder = tmp_path_factory.mktemp("indexed")
    shutil.copytree(world, folder / "media")
    request = IndexRequest((folder / "media",), folder / libraries.LIBRARY, jobs=1)
    index(request, Machine(folder / "cache", "cpu"))
    return folder


@pytest.fixture
def indexed(indexed_world: Path, tmp_path: Path) -> Path:
    """Return a copy of the videos; a library of them and a cache are in the test's folder."""
    shutil.copytree(indexed_world, tmp_path, dirs_exist_ok=True)
    relocate_library(libraries.LIBRARY, str(indexed_world / "media"), tmp_path / "media")
    return tmp_path / "media"


@pytest.fixture
def vl() -> Callable[..., Result]:
    """Run the command line in this process."""
    from videolatent_cli.cli import app

    def run(*arguments: str | Path) -> Result:
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        logger.remove()
        return Result(done.exit_code, done.stdout, done.stderr)

    return run
