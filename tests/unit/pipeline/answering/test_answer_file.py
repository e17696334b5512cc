"""Files of answers: resumed, locked, never mixed with answers to other questions."""

from pathlib import Path

import pytest
from filelock import FileLock

from tests.runs import read_answers, run_batch
from videolatent_cli.errors import DataError, IncompatibleError, ResourceError


def test_a_line_that_a_kill_cut_short_is_asked_again(questions: Path, world: Path) -> None:
    run_batch(questions, world)
    whole = read_answers()
    lines = Path("a.jsonl").read_bytes().splitlines(keepends=True)
    Path("a.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:30])
    report = run_batch(questions, world)
    assert (report.asked, report.done_before) == (5, 7)
    again = read_answers()
    assert {i: a.answer for i, a in again.items()} == {i: a.answer for i, a in whole.items()}


def test_answers_of_other_questions_are_left_alone(questions: Path, world: Path) -> None:
    run_batch(questions, world)
    text = questions.read_text()
    questions.write_text(text.replace("Which", "Whose").replace("How many", "How much"))
    with pytest.raises(IncompatibleError, match=r"a.jsonl:\d+: '.*' answers '.*'; choose another"):
        run_batch(questions, world)
    Path("a.jsonl").write_text('{"something": "else"}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: is not an answer of 'vl batch'"):
        run_batch(questions, world)


def test_one_process_writes_a_file_of_answers(questions: Path, world: Path) -> None:
    with (
        FileLock(".a.jsonl.lock"),
        pytest.raises(ResourceError, match=r"a.jsonl: another process writes it"),
    ):
        run_batch(questions, world)
