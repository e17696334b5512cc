"""`vl batch`: many questions are answered as one by one, resumable, every failure named."""

import json
import shutil
from pathlib import Path

import pytest

from tests.runs import read_answers, run_batch
from videolatent_cli.data.questions import read_questions
from videolatent_cli.errors import InterruptedRunError
from videolatent_cli.model import source as model_source
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.runtime import interrupt
from videolatent_cli.runtime.machine import Machine


def test_batch_answers_are_those_of_ask(questions: Path, world: Path) -> None:
    report = run_batch(questions, world, questions_at_once=5)
    assert (report.asked, report.done_before, report.failed) == (12, 0, 0)
    found = read_answers()
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
    run_batch(questions, world)
    before = Path("a.jsonl").read_bytes()
    monkeypatch.setattr("videolatent_cli.pipeline.batch.open_model", None)
    assert run_batch(questions, world).done_before == 12
    assert Path("a.jsonl").read_bytes() == before


def test_a_cached_video_is_not_decoded(
    questions: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch(questions, world)
    Path("a.jsonl").unlink()
    monkeypatch.setattr(model_source, "decode_frames", None)
    run_batch(questions, world)
    assert all(answer.cache_hit for answer in read_answers().values())


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
            run_batch(questions, world, questions_at_once=4)
    assert run_batch(questions, world).done_before == 4


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
    report = run_batch(questions, media)
    assert (report.asked, report.failed) == (14, 6)
    failed = {a.id: a.warnings[0] for a in read_answers().values() if a.status == "failed"}
    assert "no.mp4: file not found" in failed["n"]
    assert "cannot be opened as video" in failed["c"]
    assert run_batch(questions, media).asked == 0
    shutil.copy(world / "val/000001.mp4", good)
    report = run_batch(questions, media, retry_failed=True)
    assert (report.asked, report.done_before, report.failed) == (6, 8, 2)


def test_choices_windows_and_csv(world: Path) -> None:
    Path("q.csv").write_text(
        "id,question,video,choices,start_seconds,end_seconds\n"
        "1,Where?,val/000000.mp4,up|down,0.5,2\n"
        "2,Where?,val/000000.mp4,,,\n"
    )
    run_batch(Path("q.csv"), world)
    found = read_answers()
    assert found["1"].answer in ("up", "down")
    assert found["1"].choice_probs is not None
    assert all(0.5 <= e.start_seconds <= 2 for e in found["1"].evidence)
    assert found["2"].choice is None
