"""Videos that cannot be read cost only the questions about them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from tests.conftest import Result
from tests.factories import write_jsonl
from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import DataError, ResourceError
from videolatent_cli.pipeline.evaluate import EvalReport, EvalRequest, evaluate_model, evaluate_run
from videolatent_cli.pipeline.probe import ProbeRequest, probe_run
from videolatent_cli.pipeline.report import ReportRequest, report_run
from videolatent_cli.pipeline.runs.trained_model import open_model
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store import FeatureCache

BAD = ("copy.mp4", "cut.mp4", "gone.mp4")


@pytest.fixture
def data(video: Path, tmp_path: Path) -> Path:
    """Two questions about each of two good videos, a cut one, its copy and a missing one."""
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, tmp_path / name)
    for name in ("cut.mp4", "copy.mp4"):
        (tmp_path / name).write_bytes(video.read_bytes()[:1000])
    names = ("cut.mp4", "a.mp4", "copy.mp4", "b.mp4", "gone.mp4")
    rows = [
        {"id": f"{name}/{part}", "video": name, "question": part, "answer": "3", "category": [part]}
        for name in names
        for part in ("How many?", "How many left?")
    ]
    return write_jsonl(tmp_path / "t.jsonl", rows)


def warnings(caught: list[str]) -> int:
    """Begin to collect the warnings; return the id of the collector."""
    return logger.add(caught.append, level="WARNING", format="{message}")


def test_their_questions_count_as_not_right_and_are_listed(
    trained: TrainReport, data: Path, tmp_path: Path
) -> None:
    caught: list[str] = []
    sink = warnings(caught)
    request = EvalRequest(trained.run_dir, data=data, ablations=["shuffle"])
    report = evaluate_run(request, Machine(tmp_path / "c"))
    logger.remove(sink)
    assert [line.split(":")[0] for line in caught] == ["no answer"] * 2  # one is a copy
    document = json.loads(json.dumps(report.document()))
    assert sorted({one["video"] for one in document["failed"]}) == sorted(BAD)
    assert {one["split"] for one in document["failed"]} == {"t"}
    assert "gone.mp4: file not found" in document["failed"][-1]["reason"]
    for result in document["splits"]["t"].values():
        assert (result["all"]["total"], result["all"]["failed"]) == (10, 6)
        assert {part["total"] for part in result["by_category"].values()} == {5}
        last = result["answers"][-6:]
        assert {one["video"] for one in last} == set(BAD)
        assert {(one["answer"], one["verdict"], one["right"]) for one in last} == {
            ("", "failed", False)
        }
    cached = len(FeatureCache(tmp_path / "c").keys())
    assert cached == 1  # both good videos have one content; a second run decodes nothing
    assert evaluate_run(request, Machine(tmp_path / "c")).document() == report.document()


def evaluated(trained: TrainReport, data: Path, cache_dir: Path, limit: float) -> EvalReport:
    """Evaluate a run whose recipe leaves out bad videos."""
    model = open_model(trained.run_dir, "cpu")
    recipe = model.checkpoint.recipe
    section = recipe.data.model_copy(update={"on_bad": "skip", "max_bad_fraction": limit})
    checkpoint = replace(model.checkpoint, recipe=recipe.model_copy(update={"data": section}))
    dataset = Dataset({"t": read_triplets(data)}, data.parent)
    return evaluate_model(replace(model, checkpoint=checkpoint), dataset, ["on"], cache_dir)


def test_a_recipe_that_skips_bad_videos_leaves_them_out(
    trained: TrainReport, data: Path, tmp_path: Path
) -> None:
    report = evaluated(trained, data, tmp_path / "c", 0.6)
    numbers = report.document()["splits"]["t"]["on"]["all"]
    assert (numbers["total"], numbers["failed"]) == (4, 0)
    assert len(report.document()["failed"]) == 6
    with pytest.raises(DataError, match=r"3 of 5 videos cannot be read, .* allows 0\.5; run 'vl"):
        evaluated(trained, data, tmp_path / "c", 0.5)
    text = "".join(line + "\n" for line in data.read_text().splitlines() if "a.mp4" not in line)
    data.write_text("".join(f"{line}\n" for line in text.splitlines() if "b.mp4" not in line))
    with pytest.raises(DataError, match="3 of 3 videos cannot be read"):
        evaluated(trained, data, tmp_path / "c", 1.0)


def test_a_cache_that_cannot_be_written_is_done_without(
    trained: TrainReport, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(self: FeatureCache, commit_videos: int = 32) -> None:
        raise ResourceError("cache: another process is writing to it")

    monkeypatch.setattr(FeatureCache, "writer", locked)
    caught: list[str] = []
    sink = warnings(caught)
    request = EvalRequest(trained.run_dir, data=data)
    numbers = evaluate_run(request, Machine(tmp_path / "c")).document()["splits"]["t"]["on"]["all"]
    logger.remove(sink)
    assert caught[0].startswith("features are not cached, so videos are decoded again: cache: ")
    assert (numbers["total"], numbers["failed"]) == (10, 6)


def test_the_command_writes_everything_and_ends_with_6(
    trained: TrainReport, data: Path, tmp_path: Path, vl: Callable[..., Result]
) -> None:
    out = tmp_path / "out.json"
    arguments = ("eval", trained.run_dir, "--data", data, "--cache-dir", tmp_path / "c", "-o", out)
    done = vl(*arguments)
    assert done.code == 6
    assert (
        f"error: {trained.run_dir}: 6 of 10 questions are about videos that cannot be read, and "
        "count as not right; fix the videos, or remove the questions"
    ) in done.stderr
    assert "strict unparsed failed" in " ".join(done.stdout.split())
    assert len(json.loads(out.read_text())["failed"]) == 6
    good = [line for line in data.read_text().splitlines() if "a.mp4" in line]
    data.write_text("\n".join(good))
    done = vl(*arguments)
    assert done.code == 0
    assert "failed" not in done.stdout


def test_the_table_names_the_threshold_of_intervals(
    trained: TrainReport, video: Path, tmp_path: Path, vl: Callable[..., Result]
) -> None:
    shutil.copy(video, tmp_path / "a.mp4")
    row = {"video": "a.mp4", "question": "When?", "answer": "1-2", "answer_type": "interval"}
    data = write_jsonl(tmp_path / "t.jsonl", [row])
    done = vl("eval", trained.run_dir, "--data", data, "--cache-dir", tmp_path / "c")
    assert "on t; intervals are right from IoU 0.5" in " ".join(done.stdout.split())
    write_jsonl(data, [row | {"answer": "soon"}])
    done = vl("eval", trained.run_dir, "--data", data, "--cache-dir", tmp_path / "c")
    assert done.code == 3
    assert "t:1: answer: cannot be read as interval, got 'soon'" in done.stderr


def test_probe_and_report_go_on_without_them(
    trained: TrainReport, data: Path, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "c")
    probe = ProbeRequest(trained.run_dir, data=data, page=tmp_path / "p.html")
    assert probe_run(probe, machine).document()["questions"] == 4
    request = ReportRequest(trained.run_dir, tmp_path / "r.html", data=data)
    assert report_run(request, machine).exists()
    good = [line for line in data.read_text().splitlines() if "gone.mp4" in line]
    data.write_text("\n".join(good))
    with pytest.raises(DataError, match="t: has no question about a readable video, but a probe"):
        probe_run(probe, machine)
    with pytest.raises(DataError, match="t: no video can be read; run 'vl data check'"):
        report_run(request, machine)
