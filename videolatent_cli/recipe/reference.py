"""Recipe reference, generated from the docstrings of the schema."""

from typing import Any

from videolatent_cli.errors import UsageError
from videolatent_cli.recipe.recipe import Recipe


def schema_of(key: str | None = None) -> dict[str, Any]:
    """Return the JSON schema of recipes, or of one section or field such as `loss.teacher`.

    Raises:
        UsageError: For a key that does not exist.
    """
    whole = Recipe.model_json_schema()
    if key is None:
        return whole
    node: dict[str, Any] = whole
    for part in key.split("."):
        options = [_resolved(option, whole) for option in _variants(node, whole)]
        child = next((o["properties"][part] for o in options if part in o["properties"]), None)
        if child is None:
            known = sorted({name for o in options for name in o["properties"]})
            raise UsageError(
                f"schema: no key '{key}'; at '{part}' choose one of: {', '.join(known)}"
            )
        node = child
    return _resolved(node, whole) | {k: v for k, v in node.items() if k != "$ref"}


def _resolved(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return the definition that a schema node refers to, or the node itself."""
    target = node.get("$ref")
    return whole["$defs"][target.rsplit("/", 1)[-1]] if target else node


def _variants(node: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the object schemas that a node allows."""
    options = node.get("oneOf") or node.get("anyOf") or [node]
    return [o for o in (_resolved(option, whole) for option in options) if "properties" in o]


def reference_page(key: str | None = None) -> str:
    """Return the reference as Markdown: each field with its type, default and meaning.

    Raises:
        UsageError: For a key that does not exist.
    """
    whole = Recipe.model_json_schema()
    if key is not None and "." in key:
        return _field_line(key, schema_of(key))
    names = [key] if key is not None else list(Recipe.model_fields)
    parts = []
    for name in names:
        node = whole["properties"].get(name)
        if node is None:
            raise UsageError(
                f"schema: no key '{name}'; choose one of: {', '.join(whole['properties'])}"
            )
        variants = _variants(node, whole)
        if not variants:
            parts.append(_field_line(name, node))
        for variant in variants:
            parts.append(f"## {name}\n\n{variant.get('description', '')}\n")
            parts += [_field_line(f, schema) for f, schema in variant["properties"].items()]
            parts.append("")
    return "\n".join(parts)


def _field_line(name: str, schema: dict[str, Any]) -> str:
    """Return one field as a Markdown list item."""
    default = f", default `{schema['default']}`" if "default" in schema else ""
    text = " ".join(str(schema.get("description", "")).split())
    return f"- `{name}` ({_type(schema)}{default}): {text}"


def _type(schema: dict[str, Any]) -> str:
    """Return the type of a field in words."""
    if "enum" in schema:
        return " or ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return "section"
    return str(schema.get("type", "section"))
