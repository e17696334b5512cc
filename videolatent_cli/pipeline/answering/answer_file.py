"""File of answers of a batch: answers are appended, and an interrupted batch resumes from it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Self

from pydantic import ValidationError

from videolatent_cli.errors import DataError, IncompatibleError
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.runtime.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from videolatent_cli.data.questions import AskedQuestion


class AnswerFile:
    """JSON Lines file of answers, written by one process at a time.

    An incomplete last line, left by a kill, is dropped. With `retry_failed`, every failed answer is
    dropped too.

    Attributes:
        done: Ids of the questions that have an answer in the file.
        num_failed: Number of answers with the status `failed`.

    Raises:
        DataError: If the file contains anything else.
        IncompatibleError: If an id in the file belongs to another question.
        ResourceError: If another process writes the file.
    """

    def __init__(
        self, path: Path, questions: Iterable[AskedQuestion], *, retry_failed: bool
    ) -> None:
        self.path = path
        self.done: set[str] = set()
        self.num_failed = 0
        self._questions = {question.id: question.question for question in questions}
        self._retry_failed = retry_failed

    def __enter__(self) -> Self:
        refusal = f"{self.path}: another process writes it; wait for it to end"
        with ExitStack() as stack:
            stack.enter_context(locked(self.path.with_name(f".{self.path.name}.lock"), refusal))
            self._file = stack.enter_context(self._open())
            self._held = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _open(self) -> IO[str]:
        """Read the answers, drop those to ask again, and open the file for appending."""
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        kept = []
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n") and self._keep(number, line):
                kept.append(line)
        if len(kept) < len(lines):
            # Rewritten under another name and then renamed: a kill never loses kept answers.
            part = self.path.with_name(self.path.name + ".part")
            part.write_bytes(b"".join(kept))
            part.replace(self.path)
        return self.path.open("a", encoding="utf-8")

    def _keep(self, number: int, line: bytes) -> bool:
        """Whether a line stays in the file; a line that stays is counted."""
        try:
            answer = Answer.model_validate_json(line)
        except ValidationError:
            raise DataError(
                f"{self.path}:{number}: is not an answer of 'vl batch'; choose another -o"
            ) from None
        question = self._questions.get(answer.id)
        if question is not None and question != answer.question:
            raise IncompatibleError(
                f"{self.path}:{number}: '{answer.id}' answers '{answer.question}', but the file of "
                f"questions asks '{question}'; choose another -o"
            )
        if self._retry_failed and answer.status == "failed":
            return False
        self._count(answer)
        return True

    def _count(self, answer: Answer) -> None:
        self.done.add(answer.id)
        self.num_failed += answer.status == "failed"

    def append(self, answers: Iterable[Answer]) -> None:
        """Append answers, and flush them to the operating system."""
        for answer in answers:
            self._file.write(answer.model_dump_json(by_alias=True) + "\n")
            self._count(answer)
        self._file.flush()
