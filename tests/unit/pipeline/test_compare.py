"""`vl eval compare`: answers to the same questions are paired."""

import json
from pathlib import Path

import pytest

from videolatent_cli.errors import DataError
from videolatent_cli.pipeline.compare import CompareRequest, compare_runs
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


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
