"""Files of questions for `vl batch`."""

from collections import Counter
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from videolatent_cli.data.records import read_records
from videolatent_cli.data.triplets import check_options
from videolatent_cli.errors import DataError


class AskedQuestion(BaseModel):
    """Question of a file, with the video or the part of a video that it is about."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    video: str | None = None
    """Path relative to the folder of videos; None: the question is put to the whole library."""
    choices: list[str] | None = Field(None, min_length=2)
    start_seconds: float | None = Field(None, ge=0)
    end_seconds: float | None = Field(None, gt=0)
    meta: dict[str, Any] = {}

    @field_validator("choices", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Split choices that are written as `A|B|C`, as in CSV files."""
        return [part.strip() for part in value.split("|")] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Check the choices, and that the start is before the end."""
        if self.choices:
            check_options("choices", self.choices)
        start, end = self.start_seconds, self.end_seconds
        if start is not None and end is not None and end <= start:
            raise ValueError(f"end_seconds: must be above start_seconds {start}, got {end}")
        return self

    @property
    def window(self) -> tuple[float | None, float | None]:
        """Start and end of the part of the video that the question is about (s)."""
        return self.start_seconds, self.end_seconds


def read_questions(path: Path) -> list[AskedQuestion]:
    """Return the questions of a JSON Lines or CSV file.

    Raises:
        DataError: For invalid records, with one line per problem, and for duplicate ids.
    """
    questions = read_records(path, AskedQuestion, "question", "name a file of questions")
    counts = Counter(question.id for question in questions)
    duplicates = [name for name, count in counts.items() if count > 1]
    if duplicates:
        names = ", ".join(duplicates[:5])
        raise DataError(f"{path}: id: must be unique, got more than once: {names}")
    return questions
