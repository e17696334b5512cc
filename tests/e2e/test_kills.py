"""Real processes of the command line that are killed, interrupted, or lose their reader."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result
from tests.factories import recipe_text
from tests.processes import VL, spawn, wait_for
from videolatent_cli.store import FeatureCache

Run = Callable[..., Result]


def losses(folder: str) -> list[float]:
    """The loss of each step so far."""
    log = Path(folder, "log.jsonl")
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line)["loss"] for line in lines if line.endswith("\n")]


@pytest.mark.slow
def test_kill_9_while_the_cache_is_built_then_go_on(
    vl: Run, small_folder: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "r.yaml"
    data = "{type: eventworld, num_videos: 40, num_eval_videos: 1, questions_per_video: 2}"
    recipe.write_text(recipe_text(small_folder, data=data))
    process = spawn("cache", "build", recipe, "--cache-dir", "c")
    wait_for(lambda: len(list(Path("c/videos.lancedb").rglob("*.manifest"))) > 4)
    process.kill()
    process.communicate()
    kept = FeatureCache(Path("c")).keys()
    assert 0 < len(kept) < 41
    built = vl("cache", "build", recipe, "--json", "--cache-dir", "c")
    found = json.loads(built.stdout)
    assert found["cached"] == 41, built.stderr
    assert found["encoded"] == 41 - len(kept)
    report = FeatureCache(Path("c")).verify()
    assert (report.rows, report.bad_keys, report.doubled_keys) == (41, (), ())


@pytest.mark.slow
def test_kill_9_and_ctrl_c_in_training_then_the_same_curve(
    vl: Run, small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(recipe_text(small_folder))
    arguments = ("train", recipe, "training.max_steps=40", "--cache-dir", cache_dir)
    assert vl(*arguments, "--run-dir", "whole").code == 0
    cut = spawn(*arguments, "--run-dir", "cut")
    wait_for(lambda: len(losses("cut")) > 6)
    cut.kill()
    cut.communicate()
    done = len(losses("cut"))
    resumed = spawn(*arguments, "--run-dir", "cut", "--resume")
    wait_for(lambda: len(losses("cut")) > done + 2)
    resumed.send_signal(signal.SIGINT)
    _, problems = resumed.communicate(timeout=60)
    assert resumed.returncode == 130
    assert "resuming after step" in problems
    assert "is saved at step" in problems
    assert f"resume with: vl train {recipe} training.max_steps=40" in problems
    assert list(Path("cut/checkpoints").glob("step-*"))
    assert vl(*arguments, "--run-dir", "cut").code == 0
    assert len(losses("whole")) == 40
    assert losses("cut") == losses("whole")


@pytest.mark.slow
def test_an_index_that_is_killed_ends_like_one_that_is_not(vl: Run) -> None:
    videos = 40
    rendered = vl("data", "render", "eventworld", "-o", "world", "--videos", str(videos))
    assert rendered.code == 0
    assert vl("index", "world", "-L", "whole", "--cache-dir", "whole_cache").code == 0

    def commits() -> int:
        return sum(len(list(Path(name).rglob("*.manifest"))) for name in ("lib", "cache"))

    moments = random.Random(0)
    wanted = int(os.environ.get("VL_KILLS", "3"))
    kills = 0
    while kills < wanted:
        before = commits()
        process = spawn("index", "world", "-L", "lib")
        wait_for(lambda: commits() > before or process.poll() is not None)  # noqa: B023
        time.sleep(moments.uniform(0, 2))
        if process.poll() is None:
            process.kill()
            kills += 1
        else:  # it has come to its end: from the start again
            assert process.returncode == 0
            shutil.rmtree("lib")
            shutil.rmtree("cache")
        process.communicate()
    assert vl("index", "world", "-L", "lib").code == 0
    assert "no problems found" in vl("library", "verify", "-L", "lib").stdout
    assert f"{videos} rows, 0 bad" in vl("cache", "verify").stdout
    for name in ("lib", "whole"):
        vl("library", "export", "-L", name, "-o", f"{name}.jsonl")
    rows = [sorted(Path(f"{name}.jsonl").read_text().splitlines()) for name in ("lib", "whole")]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_a_broken_pipe_is_silent() -> None:
    shell = f"{' '.join(VL)} schema | head -c 10 > /dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 141)
