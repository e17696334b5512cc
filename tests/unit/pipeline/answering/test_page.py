"""The page of many answers."""

from pathlib import Path

from tests.runs import run_batch
from videolatent_cli.pipeline.answering.page import write_answer_page


def test_the_page_shows_every_answer_and_escapes(questions: Path, world: Path) -> None:
    lines = questions.read_text() + '{"id": "<b>", "question": "<i>?", "video": "no.mp4"}\n'
    questions.write_text(lines)
    run_batch(questions, world)
    write_answer_page(Path("a.jsonl"), Path("a.html"))
    page = Path("a.html").read_text()
    assert page.count('<article class="card">') == 13
    assert page.count("data:image/jpeg") == 12
    assert "&lt;i&gt;?" in page
    assert "<i>?" not in page
    assert f"{(world / 'val/000000.mp4').as_uri()}#t=" in page
