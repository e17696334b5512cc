"""`vl probe`: a document and a page."""

import json
from pathlib import Path

import pytest

from tests.factories import write_jsonl
from videolatent_cli.errors import DataError
from videolatent_cli.pipeline.probe import ProbeRequest, probe_run
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


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


def test_one_question_cannot_be_probed(
    trained: TrainReport, cache_dir: Path, world: Path, tmp_path: Path
) -> None:
    video = str(world / "val" / "000000.mp4")
    data = tmp_path / "one.jsonl"
    write_jsonl(data, [{"video": "a.mp4", "question": "Which color moved first?", "answer": "red"}])
    (tmp_path / "a.mp4").symlink_to(video)
    with pytest.raises(DataError, match="one: has one question, but a probe compares questions"):
        probe_run(ProbeRequest(trained.run_dir, data=data), Machine(cache_dir))
