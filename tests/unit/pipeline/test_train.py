"""`vl train` in this process: resumed runs equal straight ones, and every kind of data trains."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_recipe, make_video, write_jsonl
from tests.runs import fit, losses, train_request
from videolatent_cli.errors import IncompatibleError, InterruptedRunError, RecipeError, UsageError
from videolatent_cli.model.checkpoint import find_checkpoint
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.train import TrainReport, train
from videolatent_cli.recipe import Recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.loop import StepResult


def test_a_finished_run_is_left_as_it_is(
    trained: TrainReport, small_folder: Path, cache_dir: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (trained.run_dir / "checkpoints").rglob("*")}
    again = fit(make_recipe(small_folder), trained.run_dir, cache_dir)
    assert again.last is None
    assert again.first_step == again.steps == 4
    assert before == {p: p.stat().st_mtime_ns for p in (trained.run_dir / "checkpoints").rglob("*")}


def test_another_recipe_does_not_get_the_folder(
    trained: TrainReport, small_folder: Path, cache_dir: Path
) -> None:
    other = make_recipe(small_folder, ("training.seed=1",))
    with pytest.raises(
        UsageError, match="exists and holds another recipe; choose another --run-dir"
    ):
        fit(other, trained.run_dir, cache_dir)


def test_changed_data_do_not_go_on_with_a_run(small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 8, 4, size=(64, 64))
    row = {"video": "a.mp4", "question": "q", "answer": "red"}
    write_jsonl(tmp_path / "t.jsonl", [row])
    recipe = make_recipe(small_folder, data="{type: triplets, path: t.jsonl}")

    def stop(result: StepResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, tmp_path / "run", tmp_path / "c", stop)
    write_jsonl(tmp_path / "t.jsonl", [{**row, "answer": "blue"}])
    with pytest.raises(IncompatibleError, match=r"its training data have changed, from .* to"):
        fit(recipe, tmp_path / "run", tmp_path / "c")


@pytest.mark.parametrize("teacher", ["current", "ema"])
def test_resumed_training_equals_uninterrupted_training_bit_by_bit(
    small_folder: Path, cache_dir: Path, tmp_path: Path, teacher: str
) -> None:
    recipe = make_recipe(small_folder, loss=f"{{teacher: {teacher}, diversity_queue: 8}}")
    whole = fit(recipe, tmp_path / "whole", cache_dir)

    def stop(result: StepResult) -> None:
        if result.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, tmp_path / "cut", cache_dir, stop)
    checkpoint = find_checkpoint(tmp_path / "cut")
    assert checkpoint is not None
    assert checkpoint.step == 2
    resumed = fit(recipe, tmp_path / "cut", cache_dir)
    assert resumed.first_step == 2
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    ends = [find_checkpoint(report.run_dir) for report in (whole, resumed)]
    first, second = (e.model_tensors() for e in ends if e is not None)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_first_stop_saves_and_says_how_to_go_on(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    import os
    import signal

    def stop(result: StepResult) -> None:
        if result.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(
        InterruptedRunError, match="is saved at step 1; resume with: the same command"
    ) as caught:
        fit(make_recipe(small_folder), tmp_path / "run", cache_dir, stop)
    assert caught.value.exit_code == 75
    checkpoint = find_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.step == 1


def test_training_with_frames_learns_the_tower(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(
        small_folder,
        backbone=f"{{model: '{small_folder}', train: full, train_vision: true}}",
        cache="{tier: frames}",
    )
    report = fit(recipe, tmp_path / "run", cache_dir)
    checkpoint = find_checkpoint(report.run_dir)
    assert checkpoint is not None
    assert any("visual" in name for name in checkpoint.model_tensors())


def test_training_a_stream(small_folder: Path, cache_dir: Path, tmp_path: Path) -> None:
    recipe = make_recipe(
        small_folder,
        data="{type: eventworld_stream, questions_per_video: 2}",
        cache="{tier: none}",
        latent="null",
        backbone=f"{{model: '{small_folder}', train: full, weights: random}}",
    )
    assert fit(recipe, tmp_path / "run", cache_dir).steps == 4
    assert (
        "a stream of triplets"
        in train(train_request(recipe, tmp_path / "run", dry_run=True), Machine(cache_dir)).dry_run
    )


def test_epochs_give_steps(small_folder: Path, cache_dir: Path, tmp_path: Path) -> None:
    training = (
        "{epochs: 2, videos_per_batch: 2, triplets_per_video: 9, gradient_accumulation_steps: 2}"
    )
    recipe = make_recipe(small_folder, training=training)
    assert fit(recipe, tmp_path / "run", cache_dir).steps == 3
    assert (
        "would train"
        in train(train_request(recipe, tmp_path / "run", dry_run=True), Machine(cache_dir)).dry_run
    )


def test_batches_by_tokens(small_folder: Path, cache_dir: Path, tmp_path: Path) -> None:
    def recipe(budget: int = 500, tier: str = "features") -> Recipe:
        training = (
            f"{{max_steps: 4, tokens_per_batch: {budget}, triplets_per_video: 2, "
            "gradient_accumulation_steps: 2, learning_rate: 1e-3, checkpoint_every_steps: 2}"
        )
        return make_recipe(small_folder, training=training, cache=f"{{tier: {tier}}}")

    fit(recipe(), tmp_path / "whole", cache_dir)
    log = list(RunDir(tmp_path / "whole").read_log())
    assert max(line["num_tokens"] for line in log) <= 2 * 500
    assert max(line["num_triplets"] for line in log) > 4
    fit(recipe(tier="frames"), tmp_path / "frames", cache_dir)
    again = RunDir(tmp_path / "frames").read_log()
    assert [line["loss"] for line in again] == [line["loss"] for line in log]
    with pytest.raises(RecipeError, match=r"training.tokens_per_batch: must be at least \d+, the"):
        fit(recipe(100), tmp_path / "small", cache_dir)
    for changed, what in (
        ("cache.tier=none", "the lengths of videos are unknown"),
        ("training.videos_per_batch=2", "set one of them"),
    ):
        budget = ("training.tokens_per_batch=500", "training.videos_per_batch=1")
        with pytest.raises(RecipeError, match=what):
            make_recipe(small_folder, (*budget, changed))


def test_rationales_are_trained_on_and_read_to_their_end(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    data = (
        "{type: eventworld, num_videos: 2, num_eval_videos: 2, questions_per_video: 2, "
        "target: rationale, rationale: short}"
    )
    recipe = make_recipe(small_folder, data=data, latent="null")
    dataset = recipe_dataset(recipe, tmp_path, cache_dir)
    assert all(t.answer.split()[-2] == "so" for t in dataset.splits["train"])
    assert all("so" not in t.answer.split() for t in dataset.splits["test_iid"])
    done = fit(recipe, tmp_path / "run", cache_dir)
    found = evaluate_run(EvalRequest(done.run_dir), Machine(cache_dir)).document()["splits"][
        "test_iid"
    ]
    assert found["on"]["all"]["total"] == 4


def test_leak_checks_train_on_what_is_left_of_a_video(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    losses = {}
    for seen in ("video", "endpoints", "shuffled", "none"):
        data = (
            "{type: eventworld, num_videos: 2, num_eval_videos: 1, questions_per_video: 2, "
            f"visible: {seen}}}"
        )
        recipe = make_recipe(small_folder, ("training.max_steps=1",), data=data, latent="null")
        fit(recipe, tmp_path / seen, cache_dir)
        (line,) = RunDir(tmp_path / seen).read_log()
        losses[seen] = line["loss"]
    assert len(set(losses.values())) == 4
