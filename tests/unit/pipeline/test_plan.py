"""`vl plan`: counts from headers, memory and time from small steps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_recipe, make_video, write_jsonl
from videolatent_cli.pipeline.plan import PlanRequest, histogram, plan_recipe
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


def test_plan_counts_and_does_no_work(
    trained: TrainReport, small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(small_folder)
    fresh = plan_recipe(PlanRequest(recipe, tmp_path, tmp_path / "run"), Machine(tmp_path / "c"))
    assert fresh.videos == 8
    assert fresh.cached_videos == 0
    assert not (tmp_path / "c" / "eventworld-v1").exists()
    assert len(fresh.tokens) == fresh.triplets
    done = plan_recipe(PlanRequest(recipe, tmp_path, trained.run_dir), Machine(cache_dir))
    assert (done.cached_videos, done.steps, done.steps_done) == (8, 4, 4)
    assert done.document()["estimated_seconds"] == 0
    for text in ("triplets", "longest", "cache", "memory", "steps      4, 4 done"):
        assert text in done.text()
    assert "0 s for 0 steps on this machine's cpu" in replace(done, steps_done=9).text()


def test_plan_of_real_files_reads_headers(small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 16, 4, size=(64, 64))
    write_jsonl(tmp_path / "t.jsonl", [{"video": "a.mp4", "question": "Where?", "answer": "up"}])
    recipe = make_recipe(small_folder, data="{type: triplets, path: t.jsonl}", latent="null")
    plan = plan_recipe(PlanRequest(recipe, tmp_path, tmp_path / "run"), Machine(tmp_path / "c"))
    # 3 tokens, 8 groups of 16, vision end; question and its tail; answer
    assert plan.tokens == [3 + 128 + 1 + 2 + 3 + 2]


@pytest.mark.parametrize(
    ("size", "rows"),
    [
        ("videos_per_batch: 2, triplets_per_video: 8", [0, 1]),
        ("tokens_per_batch: 500, triplets_per_video: 8", [0, 1, 2]),
    ],
)
def test_plan_measures_the_largest_batch_that_may_come(
    size: str, rows: list[int], small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, frames in (("long", 16), ("short", 8)):
        make_video(tmp_path / f"{name}.mp4", frames, 4, size=(64, 64))
    asked = [{"video": f"{v}.mp4", "question": "Where?", "answer": "up"} for v in ("short", "long")]
    write_jsonl(tmp_path / "t.jsonl", asked)
    recipe = make_recipe(
        small_folder,
        data="{type: triplets, path: t.jsonl}",
        latent="null",
        training=f"{{max_steps: 1, {size}}}",
    )
    measured: list[tuple[list[int], int]] = []

    def note(*found: Any) -> int:
        measured.append((found[2](1).video_index.tolist(), found[3]))
        return 0

    monkeypatch.setattr("videolatent_cli.pipeline.plan.step_bytes", note)
    plan_recipe(PlanRequest(recipe, tmp_path, tmp_path / "run"), Machine(tmp_path / "c"))
    assert measured == [(rows, 8)]


def test_plan_times_real_steps_of_small_models_only(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(
        tmp_path / "t.jsonl",
        [{"video": f"{v}.mp4", "question": "Where?", "answer": "up"} for v in ("a", "b", "c")],
    )
    for name in ("a", "b", "c"):
        make_video(tmp_path / f"{name}.mp4", 8, 4, size=(64, 64))
    size = "{max_steps: 5, videos_per_batch: 2, gradient_accumulation_steps: 3}"
    recipe = make_recipe(small_folder, data="{type: triplets, path: t.jsonl}", training=size)
    now = "videolatent_cli.training.estimate.time.perf_counter"
    monkeypatch.setattr(now, iter(range(100)).__next__)  # a second passes between two looks
    found = plan_recipe(PlanRequest(recipe, tmp_path, tmp_path / "run"), Machine(tmp_path / "c"))
    assert found.seconds_per_step == pytest.approx(3 * 1 / 2)  # three micro batches, two steps
    monkeypatch.setattr("videolatent_cli.pipeline.plan.MAX_TIMED_BYTES", 0)
    reckoned = plan_recipe(PlanRequest(recipe, tmp_path, tmp_path / "run"), Machine(tmp_path / "c"))
    assert 0 < reckoned.seconds_per_step < 1


def test_histogram_by_hand() -> None:
    assert histogram([1, 1, 2, 9]) == [(1, 2, 3, 0.75), (9, 10, 1, 0.25)]
    assert histogram([5]) == [(5, 5, 1, 1.0)]
