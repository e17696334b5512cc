"""Help for recipe fields, as JSON schema or Markdown, made from the schema and its docstrings."""

import json
from collections.abc import Iterator
from typing import Any

from videolatent_cli.errors import UsageError
from videolatent_cli.recipe.recipe import Recipe

Schema = dict[str, Any]
"""A JSON schema, or a part of one."""

_INTRODUCTION = """\
# Recipe reference

Every field of a recipe, with its key path, type, bounds, default and meaning. Values are spelled as
in YAML 1.2. Print one section or field with `vl schema training.max_steps --format md`. Override
fields on the command line with `vl train recipe.yaml training.max_steps=100`. `make docs` generates
this page from the schema."""
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_TYPES = {"string": "text", "boolean": "`true` or `false`", "null": "`null`"}
"""Types that a recipe spells differently from JSON schema."""


def schema_of(key: str | None = None) -> Schema:
    """Return the JSON schema of recipes, or of one section or field such as `backbone.lora.rank`.

    Raises:
        UsageError: For a key that does not exist.
    """
    whole = Recipe.model_json_schema()
    if key is None:
        return whole
    return _merged(_find(key, whole)[0][1], whole)


def reference_page(key: str | None = None) -> str:
    """Return the reference of recipes as Markdown, or of one section or field.

    Raises:
        UsageError: For a key that does not exist.
    """
    whole = Recipe.model_json_schema()
    if key is None:
        return "\n\n".join([_INTRODUCTION, *_fields("", whole, whole)])
    fields = _find(key, whole)
    blocks = []
    for section, node in fields:
        # A field of several variants is printed below the heading of each.
        title = [_title(key.rpartition(".")[0], section)] if len(fields) > 1 else []
        blocks += _section(key, node, whole) or [*title, _line(key, node, section, whole)]
    return "\n\n".join(blocks)


def _find(key: str, whole: Schema) -> list[tuple[Schema, Schema]]:
    """Return each (section, field) that a key path names: several where a section has variants.

    Raises:
        UsageError: For a key that does not exist.
    """
    sections = [whole]
    fields: list[tuple[Schema, Schema]] = []
    for part in key.split("."):
        fields = [(s, s["properties"][part]) for s in sections if part in s["properties"]]
        if not fields:
            known = sorted({name for s in sections for name in s["properties"]})
            place = f"at '{part}' " if "." in key else ""
            options = f"choose from: {', '.join(known)}" if known else "a value has no keys"
            raise UsageError(f"schema: no key '{key}'; {place}{options}")
        sections = [variant for _, node in fields for variant in _variants(node, whole)]
    return fields


def _resolved(node: Schema, whole: Schema) -> Schema:
    """Return a node with its reference followed."""
    target = node.get("$ref")
    return whole["$defs"][target.rsplit("/", 1)[-1]] if target else node


def _merged(node: Schema, whole: Schema) -> Schema:
    """Return a node with its reference replaced by what it refers to; own values have priority."""
    return _resolved(node, whole) | {key: v for key, v in node.items() if key != "$ref"}


def _variants(node: Schema, whole: Schema) -> list[Schema]:
    """Return the sections that a field can hold; none for a plain value."""
    options = node.get("oneOf") or node.get("anyOf") or [node]
    return [o for o in (_resolved(option, whole) for option in options) if "properties" in o]


def _section(path: str, node: Schema, whole: Schema) -> list[str]:
    """Return the Markdown blocks of a section, once per variant; none for a plain value."""
    variants = _variants(node, whole)
    blocks = []
    for variant in variants:
        title = _title(path, variant) if len(variants) > 1 else _title(path)
        blocks += [title, _text(variant), *_fields(f"{path}.", variant, whole)]
    return blocks


def _title(path: str, variant: Schema | None = None) -> str:
    """Return the heading of a section, such as `## data (type: triplets)` for a variant."""
    kind = f" (type: {variant['properties']['type']['const']})" if variant else ""
    return f"{'#' * (2 + path.count('.'))} {path}{kind}"


def _fields(prefix: str, section: Schema, whole: Schema) -> Iterator[str]:
    """Yield the list of a section's fields, then the blocks of its nested sections."""
    # The field that chooses the variant comes first.
    fields = dict(sorted(section["properties"].items(), key=lambda item: item[0] != "type"))
    yield "\n".join(_line(f"{prefix}{n}", node, section, whole) for n, node in fields.items())
    for name, node in fields.items():
        yield from _section(f"{prefix}{name}", node, whole)


def _line(path: str, node: Schema, section: Schema, whole: Schema) -> str:
    """Return one field of a section as an item of a list."""
    kind = _type(node)
    if path.rpartition(".")[2] in section.get("required", []):
        kind += ", required"
    elif "section" not in kind:
        kind += f", default `{_yaml(node['default'])}`"
    return f"- `{path}` ({kind}): {_text(_merged(node, whole))}"


def _text(node: Schema) -> str:
    """Return the docstring of a section or field as one paragraph."""
    return " ".join(str(node.get("description", "")).split())


def _type(node: Schema) -> str:
    """Return the type of a field with its bounds, such as `number ≥ 0 and < 1`."""
    options = node.get("oneOf") or node.get("anyOf")
    if options:
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if "enum" in node or "const" in node:
        return " or ".join(f"`{_yaml(value)}`" for value in node.get("enum", [node.get("const")]))
    if "$ref" in node:
        return "section"
    name = _TYPES.get(node["type"], node["type"])
    if name == "array":
        name = f"list of {_type(node['items'])}s"
    bounds = [f"{sign} {_yaml(node[word])}" for word, sign in _BOUNDS.items() if word in node]
    empty = ", not empty" if node.keys() & {"minLength", "minItems"} else ""
    return f"{name} {' and '.join(bounds)}".strip() + empty


def _yaml(value: object) -> str:
    """Return a value as a recipe spells it: JSON values are valid YAML 1.2."""
    return json.dumps(value, ensure_ascii=False)
