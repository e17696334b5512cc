"""Loading of recipes: YAML text to a validated `Recipe`, all problems in one error."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from videolatent_cli.errors import RecipeError
from videolatent_cli.recipe.data_schema import TripletsData
from videolatent_cli.recipe.recipe import Recipe

Location = tuple[str | int, ...]


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Return the validated recipe of a YAML 1.2 file.

    Args:
        path: Path of the file.
        overrides: Texts of the form `section.key=value`; the values are YAML.

    Raises:
        RecipeError: For an invalid recipe; one line per problem, `FILE:LINE:COLUMN: KEY: WHAT`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(
            f"{path}: file not found; 'vl recipes ls' lists the shipped recipes"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as UTF-8 text, got {error}") from None
    return parse_recipe(text, str(path), overrides)


def parse_recipe(text: str, name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Return the validated recipe of a YAML text.

    Args:
        text: The YAML text.
        name: Name of its file in error messages.
        overrides: As for `load_recipe`.

    Raises:
        RecipeError: For an invalid recipe, as in `load_recipe`.
    """
    document = _parse_yaml(text, name)
    plain = _plain(document)
    sources = dict(_override(plain, override) for override in overrides)
    try:
        return Recipe.model_validate(plain)
    except ValidationError as error:
        lines = [_line(problem, document, name, sources) for problem in error.errors()]
        raise RecipeError("\n".join(lines)) from None


def check_paths(recipe: Recipe, path: Path) -> None:
    """Check that the data files and folders of a recipe exist.

    Raises:
        RecipeError: If any is missing; the error names each one.
    """
    if not isinstance(recipe.data, TripletsData):
        return
    data = recipe.data
    named = {
        "data.path": data.path,
        "data.eval_path": data.eval_path,
        "data.media_root": data.media_root,
    }
    missing = [
        f"{path}: {key}: not found, got '{value}' (looked in {path.parent})"
        for key, value in named.items()
        if value is not None and not (path.parent / value).exists()
    ]
    if missing:
        raise RecipeError("\n".join(missing))


def _parse_yaml(text: str, name: str) -> Mapping[str, Any]:
    """Return the YAML document, with line and column of each key attached."""
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        first = str(error.problem).splitlines()[0]
        raise RecipeError(f"{place}: not valid YAML: {first}") from None
    if not isinstance(document, Mapping):
        kind = type(document).__name__ if document is not None else "an empty file"
        raise RecipeError(f"{name}:1:1: a recipe is a mapping of sections, got {kind}")
    return document


def _plain(value: Any) -> Any:  # noqa: ANN401 - YAML holds anything
    """Return YAML values, which ruamel.yaml wraps, as plain Python values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _override(plain: dict[str, Any], text: str) -> tuple[Location, str]:
    """Apply one `section.key=value` to the values; return its location and its text."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(f"override '{text}': must look like section.key=value")
    node = plain
    for part in parts[:-1]:
        child = node.get(part)
        if child is None:
            child = node[part] = {}
        if not isinstance(child, dict):
            raise RecipeError(f"override '{text}': '{part}' is a value, not a section")
        node = child
    try:
        node[parts[-1]] = _plain(YAML(typ="rt").load(value))
    except MarkedYAMLError:
        raise RecipeError(f"override '{text}': the value is not valid YAML") from None
    return tuple(parts), text


def _line(
    problem: Any,  # noqa: ANN401 - pydantic's ErrorDetails
    document: Mapping[str, Any],
    name: str,
    sources: dict[Location, str],
) -> str:
    """Return a problem as one line: where it is, the key, what is wrong, what to do."""
    location = _without_tags(problem["loc"], document)
    key = ".".join(str(part) for part in location)
    where = next(
        (f"override '{text}'" for at, text in sources.items() if location[: len(at)] == at),
        None,
    ) or _place(name, document, location)
    message = _message(problem, location)
    return f"{where}: {key}: {message}" if key else f"{where}: {message}"


def _without_tags(location: Location, document: Mapping[str, Any]) -> Location:
    """Return a pydantic location without the `data.type` tag that pydantic inserts in it."""
    if len(location) > 1 and location[0] == "data" and location[1] in _data_models():
        return (location[0], *location[2:])
    return location


def _place(name: str, document: Mapping[str, Any], location: Location) -> str:
    """Return FILE:LINE:COLUMN of a key, or of the innermost enclosing section in the file."""
    node: Any = document
    line, column = 0, 0
    for part in location:
        marks = getattr(node, "lc", None)
        if marks is None or marks.data is None or part not in marks.data:
            break
        line, column = marks.data[part][:2]
        node = node[part]
    return f"{name}:{line + 1}:{column + 1}"


def _message(problem: Any, location: Location) -> str:  # noqa: ANN401
    """Return the description of a problem, in terms that users know."""
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown key{_suggestion(str(location[-1]), location[:-1])}"
        case "missing":
            return "is missing"
        case "value_error":
            return str(problem["ctx"]["error"])
        case "union_tag_invalid" | "union_tag_not_found":
            got = problem["ctx"].get("tag", "none")
            return f"type must be one of {', '.join(_data_models())}, got {got}"
    message = problem["msg"]
    return f"{message[:1].lower()}{message[1:]}, got {problem['input']!r}"


def _suggestion(key: str, section: Location) -> str:
    """Return a suggestion for an unknown key: a similar key, or the section it belongs to."""
    similar = get_close_matches(key, list(_fields(section)), n=1)
    if similar:
        return f"; did you mean '{similar[0]}'?"
    owners = [name for name in Recipe.model_fields if key in _fields((name,))]
    return f"; it belongs to section '{owners[0]}'" if owners else ""


def _fields(section: Location) -> dict[str, FieldInfo]:
    """Return the fields of the section at a location; a union gives the fields of all variants."""
    models: list[type[BaseModel]] = [Recipe]
    for part in section:
        models = [
            model
            for parent in models
            if str(part) in parent.model_fields
            for model in _models_in(parent.model_fields[str(part)].annotation)
        ]
    return {name: field for model in models for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401
    """Return the section classes inside a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _data_models() -> list[str]:
    """Return the allowed values of `data.type`."""
    models = _models_in(Recipe.model_fields["data"].annotation)
    return [str(model.model_fields["type"].default) for model in models]
