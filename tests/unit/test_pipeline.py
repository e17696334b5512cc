"""The verbs end to end in one process: cache, train, resume, evaluate, ask, plan, check, export."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.factories import make_recipe, make_video, recipe_text, write_jsonl
from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    InterruptedRunError,
    RecipeError,
    ResourceError,
    SetupError,
    UsageError,
)
from videolatent_cli.model import source as model_source
from videolatent_cli.model.checkpoint import find_checkpoint, read_checkpoint
from videolatent_cli.model.load import build_model, restore_model
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.answering.answerer import AnswerOptions
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.cache import (
    CacheRequest,
    CollectRequest,
    VerifyRequest,
    build_cache,
    collect_garbage,
    recipe_cache_status,
    verify_cache,
)
from videolatent_cli.pipeline.check_data import CheckRequest, check_data
from videolatent_cli.pipeline.compare import CompareRequest, compare_runs
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.pipeline.export import ExportRequest, export_run
from videolatent_cli.pipeline.plan import PlanRequest, histogram, plan_recipe
from videolatent_cli.pipeline.prepare import open_source, prepare, recipe_dataset
from videolatent_cli.pipeline.probe import ProbeRequest, probe_run
from videolatent_cli.pipeline.report import ReportRequest, report_run
from videolatent_cli.pipeline.runs.run_dir import RunDir, newest_run, run_details, run_summaries
from videolatent_cli.pipeline.runs.trained_model import open_model
from videolatent_cli.pipeline.train import TrainReport, TrainRequest, train
from videolatent_cli.recipe import Recipe, parse_recipe
from videolatent_cli.runtime import interrupt
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.loop import StepResult
from videolatent_cli.video.clip import Clip


def request(recipe: Recipe, run_dir: Path, *, dry_run: bool = False) -> TrainRequest:
    return TrainRequest(recipe, "source: text\n", run_dir, run_dir.parent, dry_run=dry_run)


def fit(
    recipe: Recipe,
    run_dir: Path,
    cache_dir: Path,
    on_step: Callable[[StepResult], None] = lambda _: None,
) -> TrainReport:
    return train(request(recipe, run_dir), Machine(cache_dir), on_step=on_step)


@pytest.fixture(scope="module")
def trained(
    small_folder: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainReport:
    """A small run, trained once for this file."""
    torch.set_num_threads(1)
    run_dir = tmp_path_factory.mktemp("runs") / "small"
    return fit(make_recipe(small_folder), run_dir, cache_dir)


@pytest.fixture
def video(cache_dir: Path, trained: TrainReport) -> Path:
    return cache_dir / "eventworld-v1/test_iid/000000.mp4"


def losses(run_dir: Path) -> list[dict[str, float]]:
    return [line["parts"] for line in RunDir(run_dir).read_log()]


# --- cache


def test_build_once_then_nothing_is_decoded(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(small_folder)
    empty = recipe_cache_status(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert (empty.wanted, empty.cached) == (8, 0)
    first = build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert (first.encoded, first.status.cached, first.status.wanted) == (8, 8, 8)

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(model_source, "decode_frames", never)
    again = build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert again.encoded == 0
    assert again.document()["encoded"] == 0
    status = recipe_cache_status(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert status.document()["cached"] == 8
    fit(recipe, tmp_path / "run", tmp_path / "c")


def test_moved_and_copied_files_are_not_encoded_again(small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 8, 4, size=(64, 64))
    row = {"video": "a.mp4", "question": "q", "answer": "red"}
    write_jsonl(tmp_path / "t.jsonl", [row])
    recipe = make_recipe(small_folder, data="{type: triplets, path: t.jsonl}")
    assert build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c")).encoded == 1
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    shutil.copy(tmp_path / "b.mp4", tmp_path / "c.mp4")
    write_jsonl(tmp_path / "t.jsonl", [{**row, "video": n} for n in ("b.mp4", "c.mp4")])
    report = build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert (report.encoded, report.status.wanted, report.status.cached) == (0, 1, 1)


@pytest.mark.parametrize("tier", ["features", "frames", "none"])
def test_cached_features_equal_live_ones_and_give_equal_logits(
    small_folder: Path, tmp_path: Path, cache_dir: Path, tier: str
) -> None:
    recipe = make_recipe(small_folder, cache=f"{{tier: {tier}}}")
    model = build_model(recipe).eval()
    prepared, _ = prepare(recipe, model, tmp_path, cache_dir)
    clips = [Clip(prepared.dataset.path(t)) for t in prepared.dataset.splits["test_iid"]]
    live = open_source(make_recipe(small_folder, cache="{tier: none}"), model, cache_dir)
    for cached, fresh in zip(prepared.source.features(clips), live.features(clips), strict=True):
        assert torch.equal(cached.embeds, fresh.embeds)
        assert torch.equal(cached.pts_seconds, fresh.pts_seconds)
    if tier == "features":
        assert prepared.source.cached(clips[0])
    from videolatent_cli.model.batch import Example, Prompter

    prompter = Prompter(model.backbone)
    logits = []
    for source in (prepared.source, live):
        features = source.features(clips[:1])
        batch = prompter.collate(features, [[Example("Where?", "up")]])
        logits.append(model(batch).answer_logits)
    assert torch.equal(logits[0], logits[1])


def test_bad_videos_fail_or_are_left_out_within_a_limit(small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 8, 4, size=(64, 64))
    (tmp_path / "bad.mp4").write_bytes(b"none" * 50)
    rows = [{"video": v, "question": "q", "answer": "red"} for v in ("a.mp4", "bad.mp4")]
    write_jsonl(tmp_path / "t.jsonl", rows)

    def recipe(policy: str) -> Recipe:
        return make_recipe(small_folder, data=f"{{type: triplets, path: t.jsonl, {policy}}}")

    with pytest.raises(
        DataError, match=r"bad.mp4: cannot be opened .*; fix or remove it, or set data.on_bad"
    ):
        build_cache(CacheRequest(recipe("on_bad: fail"), tmp_path), Machine(tmp_path / "c"))
    with pytest.raises(
        DataError, match=r"1 of 2 videos cannot be read, data.max_bad_fraction allows 0.1"
    ):
        build_cache(
            CacheRequest(recipe("on_bad: skip, max_bad_fraction: 0.1"), tmp_path),
            Machine(tmp_path / "c"),
        )
    report = build_cache(
        CacheRequest(recipe("on_bad: skip, max_bad_fraction: 0.5"), tmp_path),
        Machine(tmp_path / "c"),
    )
    assert list(report.quarantined) == [tmp_path / "bad.mp4"]
    model = build_model(recipe("on_bad: skip, max_bad_fraction: 0.5"))
    prepared, _ = prepare(
        recipe("on_bad: skip, max_bad_fraction: 0.5"), model, tmp_path, tmp_path / "c"
    )
    assert [t.video for t in prepared.dataset.splits["train"]] == ["a.mp4"]


def test_verify_repairs_and_gc_drops(small_folder: Path, tmp_path: Path) -> None:
    recipe_path = tmp_path / "r.yaml"
    recipe_path.write_text(recipe_text(small_folder))
    recipe = make_recipe(small_folder)
    build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    other = make_recipe(small_folder, ("video.max_frames=8",))
    build_cache(CacheRequest(other, tmp_path), Machine(tmp_path / "c"))
    assert verify_cache(VerifyRequest(repair=True), Machine(tmp_path / "c")).bad_keys == ()
    machine = Machine(tmp_path / "c")
    planned = collect_garbage(CollectRequest(recipe_path, dry_run=True), machine)
    assert (planned.rows, planned.freed_bytes) == (8, 0)
    done = collect_garbage(CollectRequest(recipe_path), machine)
    dropped, freed = done.rows, done.freed_bytes
    assert dropped == 8
    assert freed > 0
    assert recipe_cache_status(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c")).cached == 8


def test_a_stream_and_a_recipe_without_cache_have_nothing_to_build(
    small_folder: Path, tmp_path: Path
) -> None:
    stream = make_recipe(small_folder, data="{type: eventworld_stream}", cache="{tier: none}")
    with pytest.raises(RecipeError, match=r"cache.tier is none: there is nothing to cache"):
        build_cache(CacheRequest(stream, tmp_path), Machine(tmp_path))
    with pytest.raises(RecipeError, match="eventworld_stream has no files to cache"):
        plan_recipe(PlanRequest(stream, tmp_path, tmp_path), Machine(tmp_path))


# --- training


def test_run_folder_tells_where_it_comes_from(trained: TrainReport) -> None:
    details = run_details(trained.run_dir)
    assert details["summary"]["step"] == details["summary"]["total_steps"] == 4
    assert (trained.run_dir / "recipe.yaml").read_text() == "source: text\n"
    assert details["provenance"]["packages"]["torch"]
    assert details["provenance"]["seed"] == 0
    assert details["last_step"]["step"] == 4
    assert "finished" not in (trained.run_dir / "train.log").read_text()
    assert [r["run"] for r in run_summaries(trained.run_dir.parent)] == [str(trained.run_dir)]
    assert newest_run(trained.run_dir.parent) == trained.run_dir
    assert trained.document()["schema"] == "vl.train/1"
    with pytest.raises(SetupError, match="is not a run folder; 'vl runs ls'"):
        run_details(trained.run_dir.parent)


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


def test_ctrl_c_once_asks_twice_stops() -> None:
    import os
    import signal

    with interrupt.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(InterruptedRunError) as caught:
            stop.check("saved", "again")
        assert caught.value.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_two_trainings_of_one_run_do_not_mix(tmp_path: Path) -> None:
    with (
        RunDir(tmp_path).lock(),
        pytest.raises(ResourceError, match="another process trains this run; wait for it"),
        RunDir(tmp_path).lock(),
    ):
        pass


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
        in train(request(recipe, tmp_path / "run", dry_run=True), Machine(cache_dir)).dry_run
    )


def test_epochs_give_steps(small_folder: Path, cache_dir: Path, tmp_path: Path) -> None:
    training = (
        "{epochs: 2, videos_per_batch: 2, triplets_per_video: 9, gradient_accumulation_steps: 2}"
    )
    recipe = make_recipe(small_folder, training=training)
    assert fit(recipe, tmp_path / "run", cache_dir).steps == 3
    assert (
        "would train"
        in train(request(recipe, tmp_path / "run", dry_run=True), Machine(cache_dir)).dry_run
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


# --- evaluate, ask


def test_evaluation_counts_every_question(trained: TrainReport, cache_dir: Path) -> None:
    names = ["off", "markers", "zero", "mean", "shuffle", "noise"]
    request = EvalRequest(trained.run_dir, ablations=names)
    document = evaluate_run(request, Machine(cache_dir)).document()
    found = document["splits"]["test_iid"]
    assert set(found) == {"on", *names}
    whole = found["on"]["all"]
    assert (
        whole["total"]
        == len(found["on"]["answers"])
        == sum(v["total"] for k, v in found["on"]["by_category"].items() if k.startswith("hops="))
    )
    assert whole["strict"] <= whole["right"]
    assert "drop" not in whole
    for name in names:
        drop = found[name]["all"]["drop"]
        assert drop["mean"] == pytest.approx(whole["accuracy"] - found[name]["all"]["accuracy"])
        assert drop["low"] <= drop["mean"] <= drop["high"]
        assert found[name]["all"]["answer_kl"] > 0
    assert json.dumps(document)


def test_evaluation_on_a_file(
    trained: TrainReport, cache_dir: Path, video: Path, tmp_path: Path
) -> None:
    shutil.copy(video, tmp_path / "v.mp4")
    path = write_jsonl(
        tmp_path / "t.jsonl", [{"video": "v.mp4", "question": "Where?", "answer": "up"}]
    )
    report = evaluate_run(EvalRequest(trained.run_dir, data=path, limit=1), Machine(cache_dir))
    assert report.document()["splits"]["t"]["on"]["all"]["total"] == 1


def test_comparison_pairs_the_same_questions(
    trained: TrainReport, cache_dir: Path, tmp_path: Path
) -> None:
    document = evaluate_run(EvalRequest(trained.run_dir), Machine(cache_dir)).document()
    answers = document["splits"]["test_iid"]["on"]["answers"]
    for answer in answers:
        answer["right"] = False
    del answers[0]
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps(document))
    found = compare_runs(CompareRequest(trained.run_dir, worse), Machine(cache_dir)).document()[
        "splits"
    ]["test_iid"]
    assert found["all"]["difference"]["total"] == len(answers)
    assert found["all"]["b"]["right"] == 0
    assert found["all"]["difference"]["only_b"] == 0
    assert found["all"]["difference"]["mean"] == found["all"]["a"]["accuracy"]
    assert {name for name in found if name.startswith("hops=")}


def test_comparison_refuses_what_it_cannot_pair(
    trained: TrainReport, cache_dir: Path, tmp_path: Path
) -> None:
    run, other = trained.run_dir, tmp_path / "other.json"
    with pytest.raises(
        DataError, match="no such run or evaluation; create it with: vl eval RUN -o"
    ):
        compare_runs(CompareRequest(run, other), Machine(cache_dir))
    other.write_text("{")
    with pytest.raises(DataError, match=r"other\.json: cannot be read as JSON, got"):
        compare_runs(CompareRequest(other, run), Machine(cache_dir))
    other.write_text('{"schema": "vl.answer/1"}')
    with pytest.raises(DataError, match=r"other\.json: is not an evaluation; create one with"):
        compare_runs(CompareRequest(other, run), Machine(cache_dir))
    empty = {"on": {"answers": []}}
    other.write_text(json.dumps({"schema": "vl.eval/1", "splits": {"test_iid": empty}}))
    with pytest.raises(DataError, match="share no question; evaluate both on the same data"):
        compare_runs(CompareRequest(other, run), Machine(cache_dir))


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
        data = f"{{type: eventworld, num_videos: 2, questions_per_video: 2, visible: {seen}}}"
        recipe = make_recipe(small_folder, ("training.max_steps=1",), data=data, latent="null")
        fit(recipe, tmp_path / seen, cache_dir)
        (line,) = RunDir(tmp_path / seen).read_log()
        losses[seen] = line["loss"]
    assert len(set(losses.values())) == 4


def test_report_is_one_small_page(trained: TrainReport, cache_dir: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    request = ReportRequest(trained.run_dir, page, limit=2, samples=2)
    assert report_run(request, Machine(cache_dir)) == page
    html = page.read_text(encoding="utf-8")
    assert len(html) < 5_000_000
    assert html.count("<img") == 3
    assert '="http' not in html
    for part in (
        "Training",
        "Effect of the latents on the answers",
        "Sample questions",
        "data_fingerprint",
    ):
        assert part in html
    with pytest.raises(SetupError, match="is not a run folder"):
        report_run(ReportRequest(tmp_path / "none", page), Machine(cache_dir))


def test_probe_writes_a_document_and_a_page(
    trained: TrainReport, cache_dir: Path, tmp_path: Path
) -> None:
    found = probe_run(ProbeRequest(trained.run_dir, limit=2), Machine(cache_dir))
    assert found.page == trained.run_dir / "probe.html"
    document = json.loads(json.dumps(found.document()))
    assert [one["code"] for one in document["diagnostics"]] == [f"F{n}" for n in range(1, 13)]
    assert document["questions"] == len(found.probe.judged["on"])
    assert probe_run(
        ProbeRequest(trained.run_dir, limit=2, page=tmp_path / "p.html"), Machine(cache_dir)
    ).page


def test_ask_gives_an_answer_document(trained: TrainReport, video: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "out" / "sheet.png"
    question = "Which zebra moved first?"
    answer = ask(
        AskRequest(
            video, question, trained.run_dir, options=AnswerOptions(num_evidence=3), sheet=sheet
        ),
        Machine(tmp_path / "none"),
    ).answer
    again = Answer.model_validate(answer.model_dump(mode="json", by_alias=True))
    assert again == answer
    assert len(answer.evidence) == 3
    assert sum(e.score for e in answer.evidence) <= 1.0
    starts = [e.start_seconds for e in answer.evidence]
    assert starts == sorted(starts)
    assert all(0 <= e.start_seconds <= e.end_seconds <= 4.0 for e in answer.evidence)
    assert sheet.exists()
    assert "zebra" in answer.warnings[0]
    assert answer.latents.blocks == 2
    assert not answer.cache_hit
    assert not (tmp_path / "none").exists()
    assert answer.timing_seconds.keys() == {"decode", "features", "prefill", "latents", "generate"}


def test_ask_uses_and_fills_an_existing_cache(
    trained: TrainReport, cache_dir: Path, video: Path, tmp_path: Path
) -> None:
    live = ask(AskRequest(video, "Where?", trained.run_dir), Machine(tmp_path / "none")).answer
    cached = ask(AskRequest(video, "Where?", trained.run_dir), Machine(cache_dir)).answer
    assert cached.cache_hit
    assert (cached.answer, cached.evidence) == (live.answer, live.evidence)
    own = make_video(tmp_path / "own.mp4", 8, 4, size=(64, 64))
    assert not ask(AskRequest(own, "Where?", trained.run_dir), Machine(cache_dir)).answer.cache_hit
    assert ask(AskRequest(own, "Where?", trained.run_dir), Machine(cache_dir)).answer.cache_hit


def test_ask_with_choices_window_and_latents_off(
    trained: TrainReport, video: Path, tmp_path: Path
) -> None:
    asked = AskRequest(
        video, "Where?", trained.run_dir, (1.0, 3.0), ("up", "down", "left"), AnswerOptions("off")
    )
    answer = ask(asked, Machine(tmp_path)).answer
    assert answer.choice_probs is not None
    assert sum(answer.choice_probs.values()) == pytest.approx(1.0)
    assert answer.answer == {"A": "up", "B": "down", "C": "left"}[str(answer.choice)]
    assert answer.latents.mode == "off"
    assert answer.evidence == []
    on = ask(AskRequest(video, "Where?", trained.run_dir, (1.0, 3.0)), Machine(tmp_path)).answer
    assert all(1.0 <= t < 3.0 for e in on.evidence for t in e.frames_seconds)
    with pytest.raises(UsageError, match="--to: must be after --from 3 s, got 1 s"):
        ask(AskRequest(video, "q", trained.run_dir, (3.0, 1.0)), Machine(tmp_path))
    with pytest.raises(UsageError, match="--choices: must be two or more, got 'a'"):
        ask(AskRequest(video, "q", trained.run_dir, choices=("a",)), Machine(tmp_path))


def test_another_sampling_is_refused(trained: TrainReport, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.run_dir, copy)
    path = next((copy / "checkpoints").glob("*/checkpoint.json"))
    about = json.loads(path.read_text())
    about["sampling"]["max_frames"] = 99
    path.write_text(json.dumps(about))
    with pytest.raises(
        IncompatibleError,
        match=r"was trained with sampling .* \(max_frames 99 and 32\); train again",
    ):
        open_model(copy)


def test_a_run_without_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="holds no checkpoint; train it with: vl train"):
        open_model(tmp_path)


# --- plan, check, export


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


def test_check_lists_bad_videos(tmp_path: Path) -> None:
    make_video(tmp_path / "good.mp4", 8, 4)
    (tmp_path / "bad.mp4").write_bytes(b"junk" * 20)
    rows = [
        {"video": v, "question": "q", "answer": "a"} for v in ("good.mp4", "bad.mp4", "gone.mp4")
    ]
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    report = check_data(CheckRequest(data, tmp_path / "q.jsonl", deep=True), Machine(tmp_path))
    assert report.videos == 3
    listed = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [Path(row["file"]).name for row in listed] == ["bad.mp4", "gone.mp4"]
    assert "cannot be opened as video" in listed[0]["reason"]
    recipe = tmp_path / "r.yaml"
    recipe.write_text("version: 1\ndata: {type: triplets, path: t.jsonl}\n")
    assert len(check_data(CheckRequest(recipe, tmp_path / "q.jsonl"), Machine(tmp_path)).bad) == 2


@pytest.mark.parametrize("train_part", ["full", "lora"])
def test_export_is_a_plain_hugging_face_folder(
    small_folder: Path, cache_dir: Path, tmp_path: Path, train_part: str
) -> None:
    backbone = f"{{model: '{small_folder}', train: {train_part}, lora: {{rank: 2}}}}"
    report = fit(make_recipe(small_folder, backbone=backbone), tmp_path / "run", cache_dir)
    files = export_run(ExportRequest(report.run_dir, tmp_path / "out"))
    assert {"config.json", "model.safetensors", "latent.safetensors", "tokenizer.json"} <= {
        p.name for p in files
    }
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "out").eval()
    checkpoint = find_checkpoint(report.run_dir)
    assert checkpoint is not None
    ours = restore_model(checkpoint).backbone
    ids = torch.tensor([[10, 11, 12]])
    assert np.allclose(
        plain(input_ids=ids).logits.detach().numpy(),
        ours.core(input_ids=ids).logits.detach().numpy(),
        atol=1e-5,
    )
    video = cache_dir / "eventworld-v1/test_iid/000000.mp4"
    question = AskRequest(video, "Which color moved first?", choices=("red", "blue"))
    before = ask(replace(question, run=report.run_dir), Machine(tmp_path)).answer
    after = ask(replace(question, run=tmp_path / "out"), Machine(tmp_path)).answer
    assert after.answer == before.answer
    assert after.choice_probs == pytest.approx(before.choice_probs, abs=1e-5)
    with pytest.raises(UsageError, match="out exists; choose another folder"):
        export_run(ExportRequest(report.run_dir, tmp_path / "out"))


def test_export_of_a_checkpoint_answers_alike(trained: TrainReport, tmp_path: Path) -> None:
    export_run(ExportRequest(trained.run_dir, tmp_path / "out", "checkpoint", half=True))
    small = read_checkpoint(tmp_path / "out")
    whole = find_checkpoint(trained.run_dir)
    assert whole is not None
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "checkpoint.json",
        "model.safetensors",
    }
    first, second = restore_model(small), restore_model(whole)
    for name, parameter in first.named_parameters():
        assert torch.allclose(parameter, dict(second.named_parameters())[name], atol=1e-3)


def test_recipe_texts_of_the_factories_are_valid(small_folder: Path) -> None:
    assert parse_recipe(recipe_text(small_folder), "r").data.type == "eventworld"
