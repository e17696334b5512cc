"""HTML page of a file of answers, each with the frame that received the most attention."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import VideoError
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.report.page import Card, Cards, Picture, Table, Text, write_page
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.video.thumbnail import moment_thumbnail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.pipeline.answering.answer import Evidence


def write_answer_page(answers: Path, page: Path, progress: Progress = silent) -> None:
    """Write the page of a file that `vl batch` wrote; failed answers come first.

    A frame that can no longer be decoded is omitted with a warning.
    """
    # Not splitlines(): JSON strings may contain other line separators than "\n".
    lines = answers.read_text(encoding="utf-8").split("\n")
    parsed = [Answer.model_validate_json(line) for line in lines if line]
    common = _common_warnings(parsed)
    cards = []
    for done, answer in enumerate(sorted(parsed, key=lambda a: a.status == "ok"), start=1):
        cards.append(_card(answer, [w for w in answer.warnings if w not in common]))
        progress("report", done, len(parsed))
    notes = [Text(warning, note=True) for warning in common]
    write_page(page, f"Answers of {answers.name}", [_summary(parsed), *notes, Cards(cards)])


def _common_warnings(answers: Sequence[Answer]) -> list[str]:
    """Return the warnings that all successful answers share, to show them only once."""
    by_answer = [answer.warnings for answer in answers if answer.status == "ok"]
    if not by_answer:
        return []
    return [w for w in by_answer[0] if all(w in warnings for warnings in by_answer)]


def _summary(answers: Sequence[Answer]) -> Table:
    """Return a table of the number of answers by status, and of the models that gave them."""
    statuses = [answer.status for answer in answers]
    rows = [[status, str(statuses.count(status))] for status in ("ok", "not_found", "failed")]
    models = sorted({f"{a.model.run} {a.model.checkpoint}" for a in answers})
    return Table(("answers", str(len(answers))), [*rows, ["answered by", ", ".join(models)]])


def _card(answer: Answer, warnings: Sequence[str]) -> Card:
    """Return the card of one answer, with the evidence moment of the highest attention."""
    lines = [answer.question, f"{answer.id}: {answer.status}", *warnings]
    if not answer.evidence:
        return Card(answer.answer or answer.status, lines)
    best = max(answer.evidence, key=lambda moment: moment.score)
    times = ", ".join(f"{m.start_seconds:.2f}-{m.end_seconds:.2f} s" for m in answer.evidence)
    lines += [f"{best.video} at {times}"]
    picture = _picture(best)
    link = f"{Path(best.video).resolve().as_uri()}#t={best.start_seconds:.2f}"
    return Card(answer.answer, lines, picture, link)


def _picture(moment: Evidence) -> Picture | None:
    """Return the frame of a moment; None, with a warning, if it can no longer be decoded."""
    try:
        data = moment_thumbnail(Path(moment.video), moment.start_seconds, moment.end_seconds)
    except VideoError as error:
        logger.warning("no picture of the evidence: {}", error)
        return None
    return Picture(data, f"{moment.video} at {moment.start_seconds:.2f} s", "image/jpeg")
