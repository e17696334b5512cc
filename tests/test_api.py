"""The public Python API: lazy, complete, typed for users outside the package."""

import subprocess
import sys
from pathlib import Path

import pytest

import videolatent_cli

ROOT = Path(videolatent_cli.__file__).parents[1]

OUTSIDE = """
from pathlib import Path
from typing import assert_type

from videolatent_cli import AskRequest, Machine, SearchRequest, TrainRequest
from videolatent_cli import ask, load_recipe, open_model, search, train

answer = ask(AskRequest(Path("a.mp4"), "Which color moved last?"), Machine(device="cpu")).answer
assert_type(answer.answer, str)
assert_type(answer.evidence[0].start_seconds, float)
assert_type(open_model(None).name, str)
for moment in search(SearchRequest("red square", Path("library"))):
    assert_type(moment.score, float)
recipe = load_recipe(Path("recipe.yaml"), ["training.max_steps=5"])
report = train(TrainRequest(recipe, "", Path("runs/a"), Path()))
assert_type(report.steps, int)
"""


def test_every_public_name_is_there_and_no_other() -> None:
    for name in videolatent_cli.__all__:
        assert getattr(videolatent_cli, name) is not None
    assert dir(videolatent_cli) == sorted(videolatent_cli.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = videolatent_cli.nothing


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, videolatent_cli; print([m for m in ('torch', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_api_is_typed_from_outside(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(OUTSIDE, encoding="utf-8")
    assert (ROOT / "videolatent_cli" / "py.typed").exists()
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "use.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ask_a_video", "train_and_compare"])
def test_examples_run(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {"ask_a_video": "Which color moved last?", "train_and_compare": "latents shuffle"}[
        name
    ] in done.stdout
