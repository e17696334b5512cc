"""`vl ask` about a library: answers from stored features, with real times."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.factories import make_video, write_jsonl
from tests.libraries import LIBRARY, ask, run
from videolatent_cli.errors import DataError, VideoError
from videolatent_cli.model import source as model_source
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.answering.evidence import cut_evidence
from videolatent_cli.pipeline.batch import BatchRequest, answer_batch
from videolatent_cli.pipeline.library.maintenance import library_files
from videolatent_cli.runtime.machine import Machine


def test_ask_answers_from_stored_features_with_real_times(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (media / "val/000001.mp4").rename(media / "yard.mp4")
    run(media)
    monkeypatch.setattr(model_source, "decode_frames", None)
    answer = ask("Which color moved first in the yard?", count=1, min_score=0.05)
    assert (answer.status, answer.cache_hit) == ("ok", True)
    assert answer.answer
    assert all(moment.video == str(media / "yard.mp4") for moment in answer.evidence)
    assert all(0 <= moment.start_seconds <= 4 for moment in answer.evidence)
    several = ask("Which color moved first in the yard?", count=4, min_score=0.0)
    assert several.status == "ok"


def test_what_was_indexed_is_answered_though_the_file_changed_or_went(indexed: Path) -> None:
    video = indexed / "val/000001.mp4"

    def asked(sheet: Path | None = None) -> Answer:
        where = "path LIKE '%1.mp4'"
        return ask("Which color moved first?", sheet=sheet, where=where, min_score=0.0)

    before = asked()
    make_video(video, num_frames=40)
    after = asked()
    assert (after.answer, after.evidence) == (before.answer, before.evidence)
    with pytest.raises(VideoError, match=r"000001.mp4: has changed since .* vl index first"):
        cut_evidence(after, Path("clips"))
    with pytest.raises(VideoError, match=r"000001.mp4: has changed since"):
        asked(sheet=Path("sheet.png"))
    video.unlink()
    gone = asked()
    assert (gone.answer, gone.cache_hit) == (before.answer, True)
    shutil.rmtree("cache")
    make_video(video, num_frames=40)
    with pytest.raises(VideoError, match=r"000001.mp4: has changed since"):
        asked()


def test_nothing_found_is_said(indexed: Path) -> None:
    answer = ask("Why?", min_score=0.99)
    assert (answer.status, answer.answer, answer.evidence) == ("not_found", "", [])
    assert answer.warnings == [
        "no moment of the library scores 0.99 or more; ask about something that its videos show, or lower --min-score"
    ]


def test_batch_asks_the_library_and_knows_its_videos(indexed: Path) -> None:
    (row,) = [row for path, row in library_files(LIBRARY) if path.name == "000002.mp4"]
    questions = [
        {"id": "all", "question": "Which color moved first?"},
        {"id": "path", "question": "Which color moved first?", "video": "val/000002.mp4"},
        {"id": "content", "question": "Which color moved first?", "video": row.content_id},
    ]
    write_jsonl(Path("q.jsonl"), questions)
    request = BatchRequest(Path("q.jsonl"), Path("a.jsonl"), Path("nowhere"))
    with pytest.raises(DataError, match=r"video: is missing in 'all' \(1 such questions\)"):
        answer_batch(request, Machine(device="cpu"))
    answer_batch(replace(request, library=LIBRARY), Machine(device="cpu"))
    lines = Path("a.jsonl").read_text().splitlines()
    answers = {a.id: a for a in map(Answer.model_validate_json, lines)}
    assert answers["path"].answer == answers["content"].answer
    assert answers["all"].status in ("ok", "not_found")
