"""`docs/reference/json-documents.md`, from the classes of documents."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from docs_build.documents import DOCUMENTS, schema_name
from docs_build.documents.part import Part
from docs_build.markdown import one_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION = """\
# JSON documents

Every JSON document that `vl` prints or stores. Each document is one JSON object with a field
`schema`: its name and version, such as `vl.answer/1`.

Commands print one document with `--json`. In the field paths below, `[]` is each item of a list and
`*` is each key of an object. A field that is not always there is marked "may be missing".
`make docs` generates this page from `docs_build/documents/`; tests validate real documents against
it."""
_NAMES: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    NoneType: "`null`",
    Any: "any value",
}


def documents_page() -> str:
    """Return the page of all JSON documents."""
    blocks = [_INTRODUCTION]
    for title, documents in DOCUMENTS.items():
        blocks.append(f"## {title}")
        for document in documents:
            blocks += [f"### {schema_name(document)}", _summary(document)]
            rows = [(f"`{path}`", kind, text) for path, kind, text in fields_of(document)]
            blocks.append(table(("field", "type", "meaning"), rows))
    return "\n\n".join(blocks)


def fields_of(
    document: type[Part], prefix: str = "", known: dict[type[Part], str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield path, type and meaning of each field of a document, nested ones after their parent.

    Args:
        document: The class of the document or part.
        prefix: Path of the part, with its dot.
        known: Path of each part that is described already: a second place refers to the first.
    """
    known = {} if known is None else known
    for name, field in document.model_fields.items():
        path = prefix + (field.alias or name)
        kind = type_name(field.annotation)
        if not field.is_required():
            kind = f"{kind.removesuffix(' or `null`')}, may be missing"
        text = one_line(field.description or "Name and version of the document.")
        part, suffix = _part_of(field.annotation)
        if part in known:
            yield path, kind, f"{text} Fields as in `{known[part]}`."
            continue
        yield path, kind, text
        if part is not None:
            known[part] = path + suffix
            yield from fields_of(part, f"{path}{suffix}.", known)


def type_name(annotation: Any) -> str:  # noqa: ANN401 - any type
    """Return a type in words, such as `list of texts`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(type_name(option) for option in inner)
    if origin is list:
        return f"list of {_plural(type_name(inner[0]))}"
    if origin is tuple:
        return f"list `[{', '.join(type_name(item) for item in inner)}]`"
    if origin is dict:
        return "object" if inner[1] is Any else f"object of {_plural(type_name(inner[1]))}"
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return "object"
    return _NAMES[annotation]


def _plural(kind: str) -> str:
    """Return the plural of a type in words."""
    if " or " in kind:
        return f"({kind})"
    name, space, rest = kind.partition(" ")
    return f"{name}s{space}{rest}"


def _part_of(annotation: Any) -> tuple[type[Part] | None, str]:  # noqa: ANN401 - any type
    """Return the part that a field contains, and the path from the field to it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation, ""
    if origin in (Union, UnionType):
        return next((found for found in map(_part_of, inner) if found[0]), (None, ""))
    if origin in (list, dict):
        part, suffix = _part_of(inner[-1])
        return part, ("[]" if origin is list else ".*") + suffix
    return None, ""


def _summary(document: type[Part]) -> str:
    """Return the first paragraph of a document's docstring."""
    return one_line(inspect.cleandoc(document.__doc__ or "").split("\n\n")[0])
