"""Triplets (video, question, answer), the common form of all data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from videolatent_cli.data.records import read_records
from videolatent_cli.errors import DataError

AnswerType = Literal["choice", "multi_choice", "yesno", "number", "text", "interval", "order"]
MAX_OPTIONS = 26
"""Largest number of options: each has a letter of its own."""


class Triplet(BaseModel):
    """Question about a video with its answer, which is text, never the letter of an option."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    video: str = Field(min_length=1)
    """Path relative to the media root."""
    start_seconds: float | None = Field(None, ge=0)
    end_seconds: float | None = Field(None, gt=0)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    answers: list[str] | None = None
    """Further answers that count as right."""
    answer_type: AnswerType = "text"
    options: list[str] | None = None
    answer_index: int | None = None
    category: list[str] = []
    group: str | None = None
    subtitles: str | None = None
    rationale: str | None = None
    """Chain of thought; only the chain-of-thought baseline is trained on it."""
    split: str | None = None
    dataset: str | None = None
    meta: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _infer_type(cls, values: Any) -> Any:  # noqa: ANN401 - before validation
        """Set `answer_type` if it is not given."""
        if isinstance(values, dict) and values.get("answer_type") is None:
            return {**values, "answer_type": _answer_type(values)}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Check question, times and options against each other."""
        for tag in ("<video>", "<image>"):
            if tag in self.question:
                raise ValueError(f"question: contains a stray {tag}; remove it")
        start, end = self.start_seconds, self.end_seconds
        if start is not None and end is not None and end <= start:
            raise ValueError(f"end_seconds: must be above start_seconds {start}, got {end}")
        if self.options:
            check_options("options", self.options)
        if self.answer_type == "choice" and self.answer not in (self.options or ()):
            raise ValueError(
                f"answer: must be the text of one of the options {self.options}, "
                f"got {self.answer!r}"
            )
        return self

    @property
    def window(self) -> tuple[float | None, float | None]:
        """Start and end of the part of the video that the question is about (s)."""
        return self.start_seconds, self.end_seconds


def with_rationale(triplet: Triplet) -> Triplet:
    """Return a triplet with its rationale as the answer, for the chain-of-thought baseline.

    If the rationale does not end in the answer, `so ANSWER` is appended, which the scorers read.

    Raises:
        DataError: If the triplet has no rationale.
    """
    if not triplet.rationale:
        raise DataError(
            f"{triplet.id}: rationale: is missing; add it, or set data.target to answer"
        )
    text = triplet.rationale
    full = text if text.endswith(f"so {triplet.answer}") else f"{text} so {triplet.answer}"
    return triplet.model_copy(update={"answer": full})


def _answer_type(values: dict[str, Any]) -> AnswerType:
    """Return the answer type that follows from the answer and the options."""
    answer = str(values.get("answer", "")).strip().lower()
    if values.get("options"):
        return "choice"
    if answer in ("yes", "no"):
        return "yesno"
    return "number" if answer.lstrip("-").replace(".", "", 1).isdigit() else "text"


def read_triplets(path: Path) -> list[Triplet]:
    """Return the triplets of a JSON Lines or CSV file.

    Raises:
        DataError: For a file that cannot be read or is invalid, with one line per problem:
            `FILE:LINE: KEY: WHAT`.
    """
    return read_records(path, Triplet, "triplet", "check data.path")


def check_options(name: str, options: Sequence[str]) -> None:
    """Check that each option can be named by a letter and by its text.

    Args:
        name: Name of the options in errors.
        options: Texts of the options.

    Raises:
        ValueError: If an option is blank, if two are equal, or if there are too many.
    """
    if len(options) > MAX_OPTIONS:
        raise ValueError(f"{name}: must be at most {MAX_OPTIONS}, got {len(options)}")
    if not all(option.strip() for option in options):
        raise ValueError(f"{name}: must not be blank, got {list(options)}")
    doubled = [option for option in options if options.count(option) > 1]
    if doubled:
        raise ValueError(f"{name}: must differ from each other, got {doubled[0]!r} twice")


def with_options(question: str, options: Sequence[str]) -> str:
    """Return a question followed by its options, one per line, each with a letter."""
    letters = [f"({chr(ord('A') + index)}) {option}" for index, option in enumerate(options)]
    return "\n".join([question, *letters])


def question_text(triplet: Triplet) -> str:
    """Return the text of a triplet's question, followed by its options if it has any."""
    return with_options(triplet.question, triplet.options) if triplet.options else triplet.question
