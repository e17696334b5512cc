"""Files of questions."""

from pathlib import Path

import pytest

from videolatent_cli.data.questions import read_questions
from videolatent_cli.errors import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "q.jsonl:1: not valid JSON"),
        ('{"question": "a", "videos": "b"}', "videos: unknown key; did you mean 'video'"),
        ('{"video": "b"}', "q.jsonl:1: question: is missing"),
        ('{"question": "a", "choices": ["x"]}', "choices: list should have at least 2 items"),
        (
            '{"question": "a", "start_seconds": 3, "end_seconds": 2}',
            "end_seconds: must be above start_seconds 3.0, got 2.0",
        ),
        ('{"id": "x", "question": "a"}\n' * 2, "id: must be unique, got more than once: x"),
        ("\n", "contains no question"),
    ],
)
def test_files_of_questions_are_checked(text: str, message: str) -> None:
    Path("q.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        read_questions(Path("q.jsonl"))
