"""Triplets (video, question, answer), the normal form of all data, and their JSONL reader."""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from videolatent_cli.errors import DataError

AnswerType = Literal["choice", "multi_choice", "yesno", "number", "text", "interval", "order"]
_MOST_PROBLEMS = 20
"""Problems of one file that are listed; more are counted."""


class Triplet(BaseModel):
    """One question about one video; the answer is text, never a letter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    video: str = Field(min_length=1)
    """Path below the media root."""
    start_seconds: float | None = Field(None, ge=0)
    end_seconds: float | None = Field(None, gt=0)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    answers: list[str] | None = None
    """Other answers that count as right."""
    answer_type: AnswerType = "text"
    options: list[str] | None = None
    answer_index: int | None = None
    category: list[str] = []
    group: str | None = None
    subtitles: str | None = None
    rationale: str | None = None
    """Read only by the chain-of-thought baseline."""
    split: str | None = None
    dataset: str | None = None
    meta: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _infer_type(cls, values: Any) -> Any:  # noqa: ANN401 - before validation
        if isinstance(values, dict) and values.get("answer_type") is None:
            return {**values, "answer_type": _answer_type(values)}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for tag in ("<video>", "<image>"):
            if tag in self.question:
                raise ValueError(f"question: holds a stray {tag}; remove it")
        start, end = self.start_seconds, self.end_seconds
        if start is not None and end is not None and end <= start:
            raise ValueError(f"end_seconds: must be above start_seconds {start}, got {end}")
        if self.answer_type == "choice" and self.answer not in (self.options or ()):
            raise ValueError(
                f"answer: must be the text of one of the options {self.options}, "
                f"got {self.answer!r}"
            )
        return self

    @property
    def window(self) -> tuple[float | None, float | None]:
        """Start and end of the part of the video that is meant (s)."""
        return self.start_seconds, self.end_seconds


def with_rationale(triplet: Triplet) -> Triplet:
    """Return a triplet whose answer is the whole chain of thought, for that baseline.

    A rationale that does not end in the answer gets `so ANSWER`, which the scorers read.

    Raises:
        DataError: Where the triplet has no rationale.
    """
    if not triplet.rationale:
        raise DataError(
            f"{triplet.id}: rationale: is missing; add it, or set data.target to answer"
        )
    text = triplet.rationale
    whole = text if text.endswith(f"so {triplet.answer}") else f"{text} so {triplet.answer}"
    return triplet.model_copy(update={"answer": whole})


def _answer_type(values: dict[str, Any]) -> AnswerType:
    """Return the type that an answer without one has."""
    answer = str(values.get("answer", "")).strip().lower()
    if values.get("options"):
        return "choice"
    if answer in ("yes", "no"):
        return "yesno"
    return "number" if answer.lstrip("-").replace(".", "", 1).isdigit() else "text"


def read_triplets(path: Path) -> list[Triplet]:
    """Return the triplets of a JSON Lines file.

    Raises:
        DataError: With one line per problem, `FILE:LINE: KEY: WHAT`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: file not found; check data.path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text, got {error}") from None
    triplets: list[Triplet] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if isinstance(values, dict):
                values.setdefault("id", f"{path.stem}:{number}")
            triplets.append(Triplet.model_validate(values))
        except json.JSONDecodeError as error:
            problems.append(f"{path}:{number}: not valid JSON: {error.msg}")
        except ValidationError as error:
            problems += [f"{path}:{number}: {_what(problem)}" for problem in error.errors()]
    if problems:
        raise DataError("\n".join(_shortened(problems)))
    if not triplets:
        raise DataError(f"{path}: holds no triplet; write one JSON object a line")
    return triplets


def _what(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return one problem of one triplet in words."""
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            near = get_close_matches(key, list(Triplet.model_fields), n=1)
            hint = f"did you mean '{near[0]}'?" if near else "put it into 'meta'"
            return f"{key}: unknown key; {hint}"
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            return str(problem["ctx"]["error"])
    message = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}, got {problem['input']!r}"
    return f"{key}: {message}" if key else message


def _shortened(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    rest = len(problems) - _MOST_PROBLEMS
    return [*problems[:_MOST_PROBLEMS], *([f"... and {rest} more problems"] if rest > 0 else [])]


def write_triplets(path: Path, triplets: Sequence[Triplet]) -> None:
    """Write triplets as JSON Lines, under a temporary name that is then renamed."""
    part = path.with_name(path.name + ".part")
    lines = [json.dumps(t.model_dump(exclude_defaults=True), ensure_ascii=False) for t in triplets]
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.replace(path)
