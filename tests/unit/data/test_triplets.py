"""Triplets: types, prompts, messages."""

from pathlib import Path

import pytest

from tests.factories import write_jsonl
from videolatent_cli.data.records import write_records
from videolatent_cli.data.triplets import Triplet, question_text, read_triplets, with_rationale
from videolatent_cli.errors import DataError


def test_read_triplets_round_trip_and_inferred_types(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "t.jsonl",
        [
            {"video": "a.mp4", "question": "q?", "answer": "Yes"},
            {"video": "a.mp4", "question": "q?", "answer": "-2.5"},
            {"video": "a.mp4", "question": "q?", "answer": "b", "options": ["a", "b"]},
            {"video": "a.mp4", "question": "q?", "answer": "free"},
        ],
    )
    triplets = read_triplets(path)
    assert [t.answer_type for t in triplets] == ["yesno", "number", "choice", "text"]
    assert [t.id for t in triplets] == ["t:1", "t:2", "t:3", "t:4"]
    assert question_text(triplets[2]) == "q?\n(A) a\n(B) b"
    write_records(tmp_path / "u.jsonl", triplets)
    assert read_triplets(tmp_path / "u.jsonl") == triplets


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "t.jsonl:1: not valid JSON"),
        (
            '"text"',
            "t.jsonl:1: input should be a valid dictionary or instance of Triplet, got 'text'",
        ),
        ('{"video": "a", "question": "q"}', "t.jsonl:1: answer: is missing"),
        (
            '{"vidoe": "a", "question": "q", "answer": "a"}',
            "vidoe: unknown key; did you mean 'video'?",
        ),
        (
            '{"video": "a", "question": "q", "answer": "a", "xyz": 1}',
            "xyz: unknown key; put it into 'meta'",
        ),
        (
            '{"video": "a", "question": "<video> q", "answer": "a"}',
            "question: contains a stray <video>; remove it",
        ),
        (
            '{"video": "a", "question": "q", "answer": ""}',
            "answer: string should have at least 1 character, got ''",
        ),
        (
            '{"video": "a", "question": "q", "answer": "c", "options": ["a", "b"]}',
            "answer: must be the text of one of the options ['a', 'b'], got 'c'",
        ),
        (
            '{"video": "a", "question": "q", "answer": "a", "start_seconds": 3, "end_seconds": 2}',
            "end_seconds: must be above start_seconds 3.0, got 2.0",
        ),
    ],
)
def test_triplet_messages(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(line + "\n")
    with pytest.raises(DataError) as caught:
        read_triplets(tmp_path / "t.jsonl")
    assert message in str(caught.value)


def test_rationales_become_answers() -> None:
    triplet = Triplet(video="a", question="q", answer="up", rationale="it moved")
    assert with_rationale(triplet).answer == "it moved so up"
    ended = triplet.model_copy(update={"rationale": "it moved ; so up"})
    assert with_rationale(ended).answer == "it moved ; so up"
    with pytest.raises(DataError, match=r"7: rationale: is missing; add it, or set data\.target"):
        with_rationale(Triplet(id="7", video="a", question="q", answer="up"))
