"""Answers by the workers of a Ray cluster equal those of one process."""

from pathlib import Path

import pytest

from tests.factories import write_jsonl
from videolatent_cli.data.eventworld.files import render_dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.batch import BatchRequest, answer_batch
from videolatent_cli.runtime.machine import Machine

pytestmark = [
    pytest.mark.usefixtures("ray_cluster"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.slow,
]


def test_answers_by_workers_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    render_dataset(tmp_path, {"val": 3}, ["1-2 hops"], 4)
    (tmp_path / "broken.mp4").write_bytes(b"x")
    rows = [
        {"id": t.id, "question": t.question, "video": t.video}
        for t in read_triplets(tmp_path / "val.jsonl")
    ]
    write_jsonl(tmp_path / "q.jsonl", [*rows, {"id": "b", "question": "q", "video": "broken.mp4"}])
    found = []
    for workers in (None, 2):
        out = Path(f"{workers}.jsonl")
        request = BatchRequest(Path("q.jsonl"), out, Path(), questions_at_once=4, workers=workers)
        assert answer_batch(request, Machine(Path(f"cache{workers}"), "cpu")).failed == 1
        answers = [Answer.model_validate_json(line) for line in out.read_text().splitlines()]
        found.append({one.id: one for one in answers})
    for name, one in found[0].items():
        other = found[1][name]
        assert (other.answer, other.status, other.model) == (one.answer, one.status, one.model)
        assert other.evidence == one.evidence
        assert other.warnings == one.warnings
