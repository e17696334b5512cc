"""Options that no letter or no text could name are refused, wherever they are given."""

import json
from pathlib import Path

import pytest

from videolatent_cli.data.questions import read_questions
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import DataError, UsageError
from videolatent_cli.pipeline.ask import AskRequest, ask

MANY = [str(number) for number in range(27)]
BAD = [
    (["1", "1", "3"], "must differ from each other, got '1' twice"),
    (["1", " ", "3"], "must not be blank"),
    (MANY, "must be at most 26, got 27"),
]


@pytest.mark.parametrize(("options", "problem"), BAD)
def test_bad_options_are_refused(options: list[str], problem: str) -> None:
    row = {"video": "a.mp4", "question": "q"}
    Path("q.jsonl").write_text(json.dumps({**row, "choices": options}))
    with pytest.raises(DataError, match=rf"q\.jsonl:1: .*{problem}"):
        read_questions(Path("q.jsonl"))
    Path("t.jsonl").write_text(json.dumps({**row, "answer": "1", "options": options}))
    with pytest.raises(DataError, match=rf"t\.jsonl:1: .*{problem}"):
        read_triplets(Path("t.jsonl"))
    with pytest.raises(UsageError, match=f"--choices: {problem}"):
        ask(AskRequest(Path("a.mp4"), "q", choices=tuple(options)))


def test_as_many_options_as_letters_are_fine() -> None:
    row = {"video": "a.mp4", "question": "q", "answer": "1", "options": MANY[:26]}
    Path("t.jsonl").write_text(json.dumps(row))
    assert len(read_triplets(Path("t.jsonl"))) == 1
