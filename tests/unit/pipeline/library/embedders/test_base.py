"""Names of embedders, and libraries that keep to one."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.libraries import run
from videolatent_cli.cli import app
from videolatent_cli.errors import IncompatibleError, SetupError, UsageError
from videolatent_cli.pipeline.library.embedders.base import open_embedder
from videolatent_cli.pipeline.library.search import SearchRequest, search


def test_a_library_keeps_to_its_embedder(indexed: Path, siglip: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"made with embedder_spec lexical, got siglip"):
        run(indexed, embedder=f"siglip:{siglip}")
    copy = tmp_path / "model"
    copy.mkdir()
    for file in siglip.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    run(indexed, library=Path("other"), embedder=f"siglip:{copy}")
    (copy / "model.safetensors").write_bytes(
        (copy / "model.safetensors").read_bytes()[:-1] + b"\x3c"
    )
    with pytest.raises(IncompatibleError, match=r"made with embedder siglip .*, got") as stop:
        search(SearchRequest("red", Path("other")))
    command = shlex.split(str(stop.value).split("make a second library with: vl ")[1])
    done = CliRunner().invoke(app, [*command, "--cache-dir", "cache", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert search(SearchRequest("red", Path("other-2")))


def test_embedders_that_cannot_be_used(tmp_path: Path, sentence: Path) -> None:
    for text in ("clip:x", "siglip:", "words"):
        with pytest.raises(UsageError, match=f"--embedder: must be lexical.*got '{text}'"):
            open_embedder(text)
    with pytest.raises(SetupError, match=r"holds no model \(config.json is missing"):
        open_embedder(f"siglip:{tmp_path}")
    with pytest.raises(SetupError, match=r"must be a SigLIP model .* got 'bert'"):
        open_embedder(f"siglip:{sentence}")
