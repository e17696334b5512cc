"""Files of records, one JSON object a line or one CSV row each; all problems are told at once."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from videolatent_cli.errors import DataError

_MOST_PROBLEMS = 20
"""Problems of one file that are listed; more are counted."""

Record = TypeVar("Record", bound=BaseModel)


def read_records(path: Path, model: type[Record], noun: str, hint: str) -> list[Record]:
    """Return the records of a JSON Lines file, or of a CSV file with the same columns.

    A record without an `id` gets `FILE:LINE`.

    Args:
        path: The file; `.csv` is read as CSV.
        model: What each record must be.
        noun: What a record is called in errors.
        hint: What to do where the file is missing.

    Raises:
        DataError: With one line per problem, `FILE:LINE: KEY: WHAT`.
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
            problems += [f"{path}:{number}: {_what(p, model)}" for p in error.errors()]
    if problems:
        raise DataError("\n".join(_shortened(problems)))
    if not records:
        raise DataError(f"{path}: holds no {noun}; write one JSON object a line")
    return records


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    """Yield line numbers and what the lines hold, or why they are no JSON."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                yield number, error


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and rows by column; empty cells are left out."""
    reader = csv.DictReader(text.splitlines(keepends=True), restkey="cells after the last column")
    for row in reader:
        yield reader.line_num, {key: value for key, value in row.items() if value}


def _what(problem: Any, model: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return one problem of one record in words."""
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
    """Return the first problems, and how many more there are."""
    rest = len(problems) - _MOST_PROBLEMS
    return [*problems[:_MOST_PROBLEMS], *([f"... and {rest} more problems"] if rest > 0 else [])]


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Write records as JSON Lines without what is default, under a name that is then renamed."""
    part = path.with_name(path.name + ".part")
    lines = [json.dumps(r.model_dump(exclude_defaults=True), ensure_ascii=False) for r in records]
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.replace(path)
