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

from tests import factories
from videolatent_cli.data.eventworld.files import render_dataset


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


@pytest.fixture
def media(world: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change."""
    shutil.copytree(world, tmp_path / "media")
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
