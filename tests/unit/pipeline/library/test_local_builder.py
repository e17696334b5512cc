"""Segments made on this machine."""

from pathlib import Path

import pytest

from tests.factories import write_jsonl
from tests.libraries import all_segments, run
from videolatent_cli.pipeline.batch import BatchRequest, answer_batch
from videolatent_cli.runtime.machine import Machine


def test_what_training_cached_is_not_decoded(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        {"id": path.name, "question": "Which color moved first?", "video": str(path)}
        for path in sorted((media / "val").glob("*.mp4"))
    ]
    write_jsonl(Path("q.jsonl"), asked)
    answer_batch(BatchRequest(Path("q.jsonl"), Path("a.jsonl"), Path()), Machine(device="cpu"))
    monkeypatch.setattr("videolatent_cli.pipeline.library.local_builder.decode_frames", None)
    assert run(media).new == 4
    assert [one.thumbnail for one in all_segments()] == [None] * 4
