"""`vl batch`: many questions answered as one by one, resumable, every failure named."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.factories import write_jsonl
from videolatent_cli.data.eventworld.files import render_dataset
from videolatent_cli.data.questions import read_questions
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    InterruptedRunError,
    ResourceError,
)
from videolatent_cli.model import source as model_source
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.answering.page import write_answer_page
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.batch import BatchReport, BatchRequest, answer_batch
from videolatent_cli.runtime import interrupt
from videolatent_cli.runtime.machine import Machine


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered videos with their triplets."""
    folder = tmp_path_factory.mktemp("world")
    render_dataset(folder, {"val": 3}, ["1-2 hops"], 8)
    return folder


@pytest.fixture
def questions(world: Path, tmp_path: Path) -> Path:
    """Questions about the three videos, four each, in mixed order."""
    triplets = read_triplets(world / "val.jsonl")
    by_video = [[t for t in triplets if t.video.endswith(f"{n}.mp4")][:4] for n in range(3)]
    mixed = [t for group in zip(*by_video, strict=True) for t in group]
    rows = [{"id": t.id, "question": t.question, "video": t.video} for t in mixed]
    write_jsonl(tmp_path / "q.jsonl", rows)
    return tmp_path / "q.jsonl"


def run(questions: Path, world: Path, **options: object) -> BatchReport:
    request = BatchRequest(questions, Path("a.jsonl"), world, **options)
    return answer_batch(request, Machine(device="cpu"))


def answers(path: Path = Path("a.jsonl")) -> dict[str, Answer]:
    found = [Answer.model_validate_json(line) for line in path.read_text().splitlines()]
    assert len({a.id for a in found}) == len(found)
    return {answer.id: answer for answer in found}


def test_batch_answers_are_those_of_ask(questions: Path, world: Path) -> None:
    report = run(questions, world, questions_at_once=5)
    assert (report.asked, report.done_before, report.failed) == (12, 0, 0)
    found = answers()
    for question in read_questions(questions):
        alone = ask(
            AskRequest(world / question.video, question.question), Machine(Path("no"), "cpu")
        ).answer
        mine = found[question.id]
        assert mine.answer == alone.answer
        assert [e.frames_seconds for e in mine.evidence] == [
            e.frames_seconds for e in alone.evidence
        ]
        assert [e.score for e in mine.evidence] == pytest.approx([e.score for e in alone.evidence])


def test_a_second_run_asks_nothing_and_loads_no_model(
    questions: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(questions, world)
    before = Path("a.jsonl").read_bytes()
    monkeypatch.setattr("videolatent_cli.pipeline.batch.open_model", None)
    assert run(questions, world).done_before == 12
    assert Path("a.jsonl").read_bytes() == before


def test_a_cached_video_is_not_decoded(
    questions: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(questions, world)
    Path("a.jsonl").unlink()
    monkeypatch.setattr(model_source, "decode_frames", None)
    run(questions, world)
    assert all(answer.cache_hit for answer in answers().values())


def test_a_line_that_a_kill_cut_short_is_asked_again(questions: Path, world: Path) -> None:
    run(questions, world)
    whole = answers()
    lines = Path("a.jsonl").read_bytes().splitlines(keepends=True)
    Path("a.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:30])
    report = run(questions, world)
    assert (report.asked, report.done_before) == (5, 7)
    again = answers()
    assert {i: a.answer for i, a in again.items()} == {i: a.answer for i, a in whole.items()}


def test_ctrl_c_keeps_the_answers(
    questions: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(interrupt.StopRequest):
        def check(self, what: str, resume: str) -> None:
            if Path("a.jsonl").read_text():
                self.signal = 2
            super().check(what, resume)

    with monkeypatch.context() as patch:
        patch.setattr("videolatent_cli.pipeline.batch.StopRequest", Impatient)
        with pytest.raises(InterruptedRunError, match="stopped: 4 answers are kept"):
            run(questions, world, questions_at_once=4)
    assert run(questions, world).done_before == 4


def test_bad_videos_fail_alone_and_are_retried(
    questions: Path, world: Path, tmp_path: Path
) -> None:
    media = tmp_path / "media"
    shutil.copytree(world, media)
    good = media / "val/000001.mp4"
    damaged = b"not a video" * 50
    good.write_bytes(damaged)
    (media / "copy.mp4").write_bytes(damaged)
    lines = questions.read_text() + json.dumps({"id": "c", "question": "?", "video": "copy.mp4"})
    questions.write_text(f'{lines}\n{{"id": "n", "question": "?", "video": "no.mp4"}}\n')
    report = run(questions, media)
    assert (report.asked, report.failed) == (14, 6)
    failed = {a.id: a.warnings[0] for a in answers().values() if a.status == "failed"}
    assert "no.mp4: file not found" in failed["n"]
    assert "cannot be opened as video" in failed["c"]
    assert run(questions, media).asked == 0
    shutil.copy(world / "val/000001.mp4", good)
    report = run(questions, media, retry_failed=True)
    assert (report.asked, report.done_before, report.failed) == (6, 8, 2)


def test_choices_windows_and_csv(world: Path) -> None:
    Path("q.csv").write_text(
        "id,question,video,choices,start_seconds,end_seconds\n"
        "1,Where?,val/000000.mp4,up|down,0.5,2\n"
        "2,Where?,val/000000.mp4,,,\n"
    )
    run(Path("q.csv"), world)
    found = answers()
    assert found["1"].answer in ("up", "down")
    assert found["1"].choice_probs is not None
    assert all(0.5 <= e.start_seconds <= 2 for e in found["1"].evidence)
    assert found["2"].choice is None


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


def test_answers_of_other_questions_are_left_alone(questions: Path, world: Path) -> None:
    run(questions, world)
    text = questions.read_text()
    questions.write_text(text.replace("Which", "Whose").replace("How many", "How much"))
    with pytest.raises(IncompatibleError, match=r"a.jsonl:\d+: '.*' answers '.*'; choose another"):
        run(questions, world)
    Path("a.jsonl").write_text('{"something": "else"}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: is not an answer of 'vl batch'"):
        run(questions, world)


def test_one_process_writes_a_file_of_answers(questions: Path, world: Path) -> None:
    with (
        FileLock(".a.jsonl.lock"),
        pytest.raises(ResourceError, match=r"a.jsonl: another process writes it"),
    ):
        run(questions, world)


def test_the_page_shows_every_answer_and_escapes(questions: Path, world: Path) -> None:
    lines = questions.read_text() + '{"id": "<b>", "question": "<i>?", "video": "no.mp4"}\n'
    questions.write_text(lines)
    run(questions, world)
    write_answer_page(Path("a.jsonl"), Path("a.html"))
    page = Path("a.html").read_text()
    assert page.count('<article class="card">') == 13
    assert page.count("data:image/jpeg") == 12
    assert "&lt;i&gt;?" in page
    assert "<i>?" not in page
    assert f"{(world / 'val/000000.mp4').as_uri()}#t=" in page
