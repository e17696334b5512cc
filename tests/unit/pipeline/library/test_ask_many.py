"""Questions about many videos are put to each."""

import shutil
from pathlib import Path

import pytest

from tests.libraries import ask, run
from videolatent_cli.errors import UsageError
from videolatent_cli.pipeline.answering.answerer import AnswerOptions
from videolatent_cli.pipeline.library.ask_many import per_video_question


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("In which videos did the red square move?", "which: Did the red square move?"),
        ("How many videos show a dog?", "count: Does the video show a dog?"),
        ("which clip contains a lid", "which: Does the video contain a lid?"),
        ("Which video has a cat", "which: Does the video have a cat?"),
        ("in how many files is there a lid?", "count: Is there a lid?"),
        ("Which color moved first?", None),
        ("How many objects are there?", None),
    ],
)
def test_questions_about_many_videos_are_put_to_each(text: str, each: str | None) -> None:
    found = per_video_question(text)
    assert (found and f"{found.kind}: {found.question}") == each


def test_many_videos_are_asked_and_counted(media: Path) -> None:
    shutil.copy(media / "val/000000.mp4", media / "copy.mp4")
    run(media)
    asked = "Did the red circle move before the blue square?"
    single = {}
    for path in sorted((media / "val").glob("*.mp4")):
        only = f"val/{path.name}"
        single[path.name] = ask(asked, ("yes", "no"), under=only, min_score=0.0).answer
    yes = sorted(name for name, answer in single.items() if answer == "yes")
    which = "In which videos did the red circle move before the blue square?"
    found = ask(which, under="val/", min_score=0.0)
    assert found.answer == "; ".join(yes)
    assert (found.status, found.choice) == ("ok" if yes else "not_found", None)
    count = ask(which.replace("which", "how many"), min_score=0.0)
    assert (count.answer, count.status) == (str(len(yes)), "ok")
    assert f"asked 4 of 4 segments: {asked}" in count.warnings
    assert {Path(moment.video).name for moment in count.evidence} <= {*yes, "copy.mp4"}
    blank = ask(which, under="val/", min_score=0.0, options=AnswerOptions(num_evidence=0))
    assert (blank.answer, blank.evidence) == (found.answer, [])
    with pytest.raises(UsageError, match="--sheet: shows one video, got a question about many"):
        ask(which, sheet=media)
    part = ask("How many videos show a red circle?", max_segments=2, min_score=0.0)
    assert "asked 2 of 4 segments: Does the video show a red circle?" in part.warnings
    none = ask("How many videos show a submarine?")
    assert (none.status, none.evidence) == ("not_found", [])
