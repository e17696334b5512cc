"""The answer document that other programs read."""

import json

import pytest
from pydantic import ValidationError

from videolatent_cli.pipeline.answering.answer import Answer

DOCUMENT = {
    "schema": "vl.answer/1",
    "id": "a",
    "question": "Where?",
    "answer": "up",
    "choice": "A",
    "choice_probs": {"A": 0.75, "B": 0.25},
    "status": "ok",
    "evidence": [
        {
            "video": "a.mp4",
            "video_id": "0" * 32,
            "start_seconds": 1.0,
            "end_seconds": 2.0,
            "frames_seconds": [1.25, 1.75],
            "score": 0.5,
            "source": "latent",
            "thumbnail": None,
        }
    ],
    "sampling": {"hash": "s", "frames": 16},
    "latents": {"mode": "on", "blocks": 2, "per_block": 4},
    "model": {"run": "runs/a", "checkpoint": "step-0000004", "backbone": "tiny"},
    "seed": 0,
    "timing_seconds": {"decode": 0.5},
    "cache_hit": False,
    "warnings": [],
}


def test_a_document_is_read_and_written_unchanged() -> None:
    answer = Answer.model_validate(DOCUMENT)
    assert json.loads(answer.model_dump_json(by_alias=True)) == DOCUMENT
    assert answer.evidence[0].frames_seconds == [1.25, 1.75]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "vl.answer/2"},
        {"status": "perhaps"},
        {"surprise": 1},
        {"latents": {"mode": "half", "blocks": 0, "per_block": 0}},
    ],
)
def test_what_the_schema_does_not_know_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Answer.model_validate(DOCUMENT | change)
