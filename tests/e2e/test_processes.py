"""Several processes train what one trains: real ones, started as a user starts them.

Processes take seconds to start, so that each test follows one run through several of them: what
two processes left is taken up by one (in this process), and the other way round.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Result
from tests.factories import recipe_text
from tests.processes import children, environment, spawn, wait_for
from tests.runs import fit
from videolatent_cli.errors import InterruptedRunError
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.recipe import load_recipe
from videolatent_cli.training.loop import StepResult

Run = Callable[..., Result]
TRAINING = (
    "{{max_steps: {steps}, videos_per_batch: 1, triplets_per_video: 3, learning_rate: 1e-3, "
    "gradient_accumulation_steps: {micro}, checkpoint_every_steps: 2, {more}}}"
)


def write(small_folder: Path, steps: int = 4, micro: int = 2, more: str = "seed: 0") -> Path:
    """A recipe in the test's folder."""
    training = TRAINING.format(steps=steps, micro=micro, more=more)
    Path("r.yaml").write_text(recipe_text(small_folder, training=training))
    return Path("r.yaml")


def losses(folder: str) -> list[float]:
    """The loss of each step so far."""
    if not Path(folder, "log.jsonl").exists():
        return []
    return [line["loss"] for line in RunDir(Path(folder)).read_log()]


def weights(folder: str) -> dict[str, torch.Tensor]:
    """The weights in the only checkpoint."""
    (checkpoint,) = Path(folder, "checkpoints").glob("step-*")
    return load_file(checkpoint / "model.safetensors")


def start_two(recipe: Path, folder: str, cache_dir: Path, *more: str) -> subprocess.Popen[str]:
    """Start two processes that train."""
    options = ("--nproc", "2", "--cache-dir", cache_dir, *more)
    return spawn("train", recipe, "--run-dir", folder, *options)


def kill_second(process: subprocess.Popen[str]) -> None:
    """Kill the second of two processes; the first must end too."""
    second = next(pid for pid in children(process.pid) if environment(pid).get("RANK") == "1")
    os.kill(second, signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0


def some_steps_alone(recipe: Path, folder: str, cache_dir: Path) -> None:
    """Take a run up in this process, and stop it after three steps."""
    started: list[int] = []

    def stop(result: StepResult) -> None:
        started.append(result.step)
        if len(started) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRunError, match="is saved at step"):
        fit(load_recipe(recipe), Path(folder), cache_dir, stop)


def same_end(vl: Run, recipe: Path, cache_dir: Path) -> None:
    """Compare a run with one that a single process trained without a stop."""
    assert vl("train", recipe, "--run-dir", "whole", "--cache-dir", cache_dir).code == 0
    assert losses("cut") == pytest.approx(losses("whole"), rel=1e-4)
    ours, theirs = weights("cut"), weights("whole")
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert torch.allclose(ours[name], weight, atol=1e-4), name


@pytest.mark.slow
def test_two_processes_are_killed_and_stopped_and_one_comes_to_the_same_end(
    vl: Run, small_folder: Path, cache_dir: Path
) -> None:
    recipe = write(small_folder, steps=40)
    process = start_two(recipe, "cut", cache_dir)
    wait_for(lambda: list(Path("cut/checkpoints").glob("step-*[0-9]")))
    kill_second(process)
    some_steps_alone(recipe, "cut", cache_dir)
    done = len(losses("cut"))
    process = start_two(recipe, "cut", cache_dir)
    wait_for(lambda: len(losses("cut")) > done)
    process.send_signal(signal.SIGTERM)
    _, problems = process.communicate(timeout=120)
    assert process.returncode == 75, problems
    assert problems.count("is saved at step") == 1
    assert "--nproc 2" in problems
    assert "Traceback" not in problems
    assert len(weights("cut")) > 0
    assert len(losses("cut")) < 40
    assert vl("train", recipe, "--run-dir", "cut", "--cache-dir", cache_dir).code == 0
    same_end(vl, recipe, cache_dir)


@pytest.mark.slow
def test_shared_weights_are_killed_and_other_numbers_come_to_the_same_end(
    vl: Run, small_folder: Path, cache_dir: Path
) -> None:
    recipe = write(small_folder, steps=40, more="shard_weights: true")
    process = start_two(recipe, "cut", cache_dir)
    wait_for(lambda: list(Path("cut/checkpoints").glob("step-*[0-9]")))
    kill_second(process)
    assert len(losses("cut")) < 40
    some_steps_alone(recipe, "cut", cache_dir)
    process = start_two(recipe, "cut", cache_dir, "--track", "tensorboard")
    _, problems = process.communicate(timeout=300)
    assert process.returncode == 0, problems
    assert len(list(Path("cut/tensorboard").iterdir())) == 1
    same_end(vl, recipe, cache_dir)


@pytest.mark.slow
def test_two_machines_meet_as_the_docs_say(vl: Run, small_folder: Path, cache_dir: Path) -> None:
    """Two agents of torchrun, at two addresses of this machine, train what one process trains.

    With Muon, whose matrices are shared out whole.
    """
    recipe = write(small_folder, more="optimizer: muon")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    agents = []
    for address in ("127.0.0.1", "127.0.0.2"):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting]
        command += ["--local-addr", address, "-m", "videolatent_cli", "train", str(recipe)]
        command += ["--run-dir", "cut", "--cache-dir", str(cache_dir)]
        agents.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for agent in agents:
        _, problems = agent.communicate(timeout=300)
        assert agent.returncode == 0, problems
    assert len(losses("cut")) == 4
    same_end(vl, recipe, cache_dir)


def test_micro_batches_that_cannot_be_shared_are_one_line(
    vl: Run, small_folder: Path, cache_dir: Path
) -> None:
    recipe = write(small_folder, micro=3)
    refused = vl("train", recipe, "--run-dir", "r", "--cache-dir", cache_dir, "--nproc", "2")
    assert refused.code == 2
    assert refused.stderr.count("\n") == 1
    assert (
        "gradient_accumulation_steps: must be a multiple of the 2 processes, got 3; set it to 4"
        in refused.stderr
    )
