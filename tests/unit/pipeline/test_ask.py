"""`vl ask` about one video: answers, evidence, choices, cache."""

from pathlib import Path

import pytest

from tests.factories import make_video
from videolatent_cli.errors import UsageError
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.answering.answerer import AnswerOptions
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


def test_ask_gives_an_answer_document(trained: TrainReport, video: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "out" / "sheet.png"
    question = "Which zebra moved first?"
    answer = ask(
        AskRequest(
            video, question, trained.run_dir, options=AnswerOptions(num_evidence=3), sheet=sheet
        ),
        Machine(tmp_path / "none"),
    ).answer
    again = Answer.model_validate(answer.model_dump(mode="json", by_alias=True))
    assert again == answer
    assert len(answer.evidence) == 3
    assert sum(e.score for e in answer.evidence) <= 1.0
    starts = [e.start_seconds for e in answer.evidence]
    assert starts == sorted(starts)
    assert all(0 <= e.start_seconds <= e.end_seconds <= 4.0 for e in answer.evidence)
    assert sheet.exists()
    assert "zebra" in answer.warnings[0]
    assert answer.latents.blocks == 2
    assert not answer.cache_hit
    assert not (tmp_path / "none").exists()
    assert answer.timing_seconds.keys() == {"decode", "features", "prefill", "latents", "generate"}


def test_ask_uses_and_fills_an_existing_cache(
    trained: TrainReport, cache_dir: Path, video: Path, tmp_path: Path
) -> None:
    live = ask(AskRequest(video, "Where?", trained.run_dir), Machine(tmp_path / "none")).answer
    cached = ask(AskRequest(video, "Where?", trained.run_dir), Machine(cache_dir)).answer
    assert cached.cache_hit
    assert (cached.answer, cached.evidence) == (live.answer, live.evidence)
    own = make_video(tmp_path / "own.mp4", 8, 4, size=(64, 64))
    assert not ask(AskRequest(own, "Where?", trained.run_dir), Machine(cache_dir)).answer.cache_hit
    assert ask(AskRequest(own, "Where?", trained.run_dir), Machine(cache_dir)).answer.cache_hit


def test_ask_with_choices_window_and_latents_off(
    trained: TrainReport, video: Path, tmp_path: Path
) -> None:
    asked = AskRequest(
        video, "Where?", trained.run_dir, (1.0, 3.0), ("up", "down", "left"), AnswerOptions("off")
    )
    answer = ask(asked, Machine(tmp_path)).answer
    assert answer.choice_probs is not None
    assert sum(answer.choice_probs.values()) == pytest.approx(1.0)
    assert answer.answer == {"A": "up", "B": "down", "C": "left"}[str(answer.choice)]
    assert answer.latents.mode == "off"
    assert answer.evidence == []
    on = ask(AskRequest(video, "Where?", trained.run_dir, (1.0, 3.0)), Machine(tmp_path)).answer
    assert all(1.0 <= t < 3.0 for e in on.evidence for t in e.frames_seconds)
    with pytest.raises(UsageError, match="--to: must be after --from 3 s, got 1 s"):
        ask(AskRequest(video, "q", trained.run_dir, (3.0, 1.0)), Machine(tmp_path))
    with pytest.raises(UsageError, match="--choices: must be two or more, got 'a'"):
        ask(AskRequest(video, "q", trained.run_dir, choices=("a",)), Machine(tmp_path))
