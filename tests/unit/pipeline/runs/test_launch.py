"""Starting several processes; trainings in several are in tests/e2e/test_processes.py."""

import pytest

from tests.factories import make_recipe
from videolatent_cli.errors import RecipeError
from videolatent_cli.pipeline.runs.launch import launch

TRAINING = make_recipe("tiny", ("training.gradient_accumulation_steps=2",)).training


def test_the_exit_code_is_that_of_the_processes(capfd: pytest.CaptureFixture[str]) -> None:
    assert launch(["--version"], 2, TRAINING) == 0
    assert capfd.readouterr().out.count("vl ") == 2
    assert launch(["train", "no.yaml"], 1, TRAINING) == 2
    assert "no.yaml: file not found" in capfd.readouterr().err


def test_steps_that_cannot_be_shared_out_start_nothing() -> None:
    with pytest.raises(RecipeError, match="multiple of the 3 processes, got 2; set it to 3"):
        launch(["--version"], 3, TRAINING)
