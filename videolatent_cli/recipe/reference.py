"""The recipe reference, made from the schema's own docstrings."""

from typing import Any

from videolatent_cli.errors import UsageError
from videolatent_cli.recipe.recipe import Recipe


def schema_of(key: str | None = None) -> dict[str, Any]:
    """Return the JSON schema of recipes, or of one section or field such as `loss`.

    Raises:
        UsageError: For a key that does not exist.
    """
    whole = Recipe.model_json_schema()
    if key is None:
        return whole
    node: dict[str, Any] = whole
    for part in key.split("."):
        options = [_resolved(option, whole) for option in _variants(node, whole)]
        found = next((o["properties"][part] for o in options if part in o["properties"]), None)
        if found is None:
            known = sorted({name for o in options for name in o["properties"]})
            raise UsageError(f"schema: no key '{key}'; at '{part}' choose of: {', '.join(known)}")
        node = found
    return _resolved(node, whole) | {k: v for k, v in node.items() if k != "$ref"}


def _resolved(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return a node with its reference followed."""
    target = node.get("$ref")
    return whole["$defs"][target.rsplit("/", 1)[-1]] if target else node


def _variants(node: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that a node can be."""
    options = node.get("oneOf") or node.get("anyOf") or [node]
    return [o for o in (_resolved(option, whole) for option in options) if "properties" in o]


def reference_page(key: str | None = None) -> str:
    """Return the reference as Markdown: every field with type, default and meaning."""
    whole = Recipe.model_json_schema()
    if key is not None and "." in key:
        field = schema_of(key)
        return _field_line(key, field)
    names = [key] if key is not None else list(Recipe.model_fields)
    parts = []
    for name in names:
        node = whole["properties"].get(name)
        if node is None:
            raise UsageError(
                f"schema: no key '{name}'; choose of: {', '.join(whole['properties'])}"
            )
        variants = _variants(node, whole)
        if not variants:
            parts.append(_field_line(name, node))
        for variant in variants:
            parts.append(f"## {name}\n\n{variant.get('description', '')}\n")
            parts += [_field_line(f, about) for f, about in variant["properties"].items()]
            parts.append("")
    return "\n".join(parts)


def _field_line(name: str, about: dict[str, Any]) -> str:
    """Return one field as a list item."""
    default = f", default `{about['default']}`" if "default" in about else ""
    text = " ".join(str(about.get("description", "")).split())
    return f"- `{name}` ({_type(about)}{default}): {text}"


def _type(about: dict[str, Any]) -> str:
    """Return a field's type in words."""
    if "enum" in about:
        return " or ".join(str(value) for value in about["enum"])
    if "const" in about:
        return str(about["const"])
    if "anyOf" in about:
        return " or ".join(_type(option) for option in about["anyOf"])
    if "$ref" in about:
        return "section"
    return str(about.get("type", "section"))
