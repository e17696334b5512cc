"""Files of records: JSON Lines or CSV. One error reports all problems of a file."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from videolatent_cli.errors import DataError

_MAX_PROBLEMS = 20
"""Maximum number of problems listed per file; the rest is only counted."""

Record = TypeVar("Record", bound=BaseModel)


def read_records(path: Path, model: type[Record], noun: str, hint: str) -> list[Record]:
    """Return the records of a JSON Lines file, or of a CSV file with the same keys as columns.

    A record without an `id` gets the id `FILE:LINE`.

    Args:
        path: File of records; a file with the extension `.csv` is read as CSV.
        model: Class of the records, which validates them.
        noun: Name of a record in errors.
        hint: Advice in the error for a missing file.

    Raises:
        DataError: For a file that cannot be read or is invalid, with one line per problem:
            `FILE:LINE: KEY: WHAT`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: file not found; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text, got {error}") from None
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text)
    records: list[Record] = []
    problems: list[str] = []
    for number, values in rows:
        if isinstance(values, dict):
            values.setdefault("id", f"{path.stem}:{number}")
        try:
            if isinstance(values, json.JSONDecodeError):
                problems.append(f"{path}:{number}: not valid JSON: {values.msg}")
            else:
                records.append(model.model_validate(values))
        except ValidationError as error:
            problems += [f"{path}:{number}: {_problem_text(p, model)}" for p in error.errors()]
    if problems:
        raise DataError("\n".join(_shortened(problems)))
    if not records:
        raise DataError(f"{path}: contains no {noun}; write one JSON object per line")
    return records


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line, or the error for a line that is not JSON."""
    # Not splitlines(), which also splits at characters that JSON strings may contain.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                yield number, error


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and the cells of each row by column, without empty cells."""
    reader = csv.DictReader(text.splitlines(keepends=True), restkey="cells after the last column")
    for row in reader:
        yield reader.line_num, {key: value for key, value in row.items() if value}


def _problem_text(problem: Any, model: type[BaseModel]) -> str:  # noqa: ANN401 - ErrorDetails
    """Return the text of one validation error of pydantic."""
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            near = get_close_matches(key, list(model.model_fields), n=1)
            hint = f"did you mean '{near[0]}'?" if near else "put it into 'meta'"
            return f"{key}: unknown key; {hint}"
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            return str(problem["ctx"]["error"])
    message = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}, got {problem['input']!r}"
    return f"{key}: {message}" if key else message


def _shortened(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and a line with the number of the others."""
    rest = len(problems) - _MAX_PROBLEMS
    return [*problems[:_MAX_PROBLEMS], *([f"... and {rest} more problems"] if rest > 0 else [])]


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Write records as JSON Lines without default values, first to a temporary name."""
    part = path.with_name(path.name + ".part")
    lines = [json.dumps(r.model_dump(exclude_defaults=True), ensure_ascii=False) for r in records]
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.replace(path)
