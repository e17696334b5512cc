"""Several processes train what one trains: real ones, started as a user starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.e2e.test_cli import spawn, wait_for
from tests.factories import recipe_text

TRAINING = (
    "{{max_steps: {steps}, videos_per_batch: 1, triplets_per_video: 3, learning_rate: 1e-3, "
    "gradient_accumulation_steps: {micro}, checkpoint_every_steps: 2, {more}}}"
)


def write(
    folder: Path, small_folder: Path, steps: int = 4, micro: int = 2, more: str = "seed: 0"
) -> Path:
    path = folder / f"r{steps}-{micro}.yaml"
    training = TRAINING.format(steps=steps, micro=micro, more=more)
    path.write_text(recipe_text(small_folder, training=training))
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    process = spawn(*arguments)
    _, problems = process.communicate(timeout=300)
    return process.returncode, problems


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (checkpoint,) = (folder / "checkpoints").glob("step-*")
    return load_file(checkpoint / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("more", ["optimizer: adamw", "optimizer: muon", "shard_weights: true"])
def test_two_processes_train_what_one_trains(
    small_folder: Path, cache_dir: Path, tmp_path: Path, more: str
) -> None:
    recipe = write(tmp_path, small_folder, more=more)
    for name, more in (("one", ()), ("two", ("--nproc", "2", "--track", "tensorboard"))):
        code, problems = run(
            "train", recipe, "--run-dir", tmp_path / name, "--cache-dir", cache_dir, *more
        )
        assert code == 0, problems
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    assert len(losses(tmp_path / "two")) == 4
    ours, theirs = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)


@pytest.mark.slow
def test_two_machines_meet_as_the_docs_say(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    """Two agents of torchrun, at two addresses of this machine, train what one process trains."""
    recipe = write(tmp_path, small_folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    agents = []
    for address in ("127.0.0.1", "127.0.0.2"):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting]
        command += ["--local-addr", address, "-m", "videolatent_cli", "train", str(recipe)]
        command += ["--run-dir", str(tmp_path / "two"), "--cache-dir", str(cache_dir)]
        agents.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for agent in agents:
        _, problems = agent.communicate(timeout=300)
        assert agent.returncode == 0, problems
    assert run("train", recipe, "--run-dir", tmp_path / "one", "--cache-dir", cache_dir)[0] == 0
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sharded", ["false", "true"])
def test_a_killed_process_stops_all_and_another_number_goes_on_to_the_same_end(
    small_folder: Path, cache_dir: Path, tmp_path: Path, sharded: str
) -> None:
    recipe = write(tmp_path, small_folder, steps=40, more=f"shard_weights: {sharded}")
    cache = ("--cache-dir", cache_dir)
    process = spawn("train", recipe, "--run-dir", tmp_path / "cut", "--nproc", "2", *cache)
    wait_for(lambda: list((tmp_path / "cut" / "checkpoints").glob("step-*[0-9]")))
    second = next(pid for pid in children(process.pid) if environment(pid).get("RANK") == "1")
    os.kill(second, signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0
    done = len(losses(tmp_path / "cut"))
    assert done < 40
    process = spawn("train", recipe, "--run-dir", tmp_path / "cut", *cache)
    wait_for(lambda: len(losses(tmp_path / "cut")) > done + 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 75
    assert run("train", recipe, "--run-dir", tmp_path / "cut", "--nproc", "2", *cache)[0] == 0
    assert run("train", recipe, "--run-dir", tmp_path / "whole", *cache)[0] == 0
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)


@pytest.mark.slow
def test_a_signal_saves_once_and_says_how_to_go_on(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    recipe = write(tmp_path, small_folder, steps=400)
    folder = tmp_path / "run"
    process = spawn("train", recipe, "--run-dir", folder, "--nproc", "2", "--cache-dir", cache_dir)
    wait_for(lambda: (folder / "log.jsonl").exists() and losses(folder))
    process.send_signal(signal.SIGTERM)
    _, problems = process.communicate(timeout=120)
    assert process.returncode == 75, problems
    assert problems.count("is saved at step") == 1
    assert "--nproc 2" in problems
    assert "Traceback" not in problems
    assert len(weights(folder)) > 0


@pytest.mark.slow
def test_micro_batches_that_cannot_be_shared_are_one_line(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    recipe = write(tmp_path, small_folder, micro=3)
    code, problems = run(
        "train", recipe, "--run-dir", tmp_path / "r", "--cache-dir", cache_dir, "--nproc", "2"
    )
    assert code == 2
    assert problems.count("\n") == 1
    assert (
        "gradient_accumulation_steps: must be a multiple of the 2 processes, got 3; set it to 4"
        in problems
    )


def children(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def environment(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if b"=" in entry)
