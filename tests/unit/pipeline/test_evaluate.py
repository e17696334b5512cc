"""`vl eval`: every question is counted once, with and without the latents."""

import json
import shutil
from pathlib import Path

import pytest

from tests.factories import write_jsonl
from videolatent_cli.errors import UsageError
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run, parse_ablations
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


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


def test_ablation_names() -> None:
    assert parse_ablations(["shuffle", "off"]) == ["on", "off", "shuffle"]
    with pytest.raises(
        UsageError, match=r"--ablate: unknown, got \['nose'\]; choose from: on, off"
    ):
        parse_ablations(["nose"])
