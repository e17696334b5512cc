"""Resolved recipes, their hashes, and the provenance of a run."""

import hashlib
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from videolatent_cli.recipe.data_schema import Section
from videolatent_cli.recipe.recipe import Recipe
from videolatent_cli.version import __version__

_EARLIER_VISIBLE = {"ends": "endpoints", "nothing": "none"}
"""Current value of `data.visible` for each value of `data.seen`, its name before version 0.1.0."""
_PACKAGES = ("torch", "transformers", "peft", "lancedb", "pyarrow", "av", "imageio-ffmpeg", "numpy")


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return all values of a recipe, defaults included, as plain JSON values."""
    return recipe.model_dump(mode="json")


def digest(value: object, length: int = 12) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 of a JSON value or section."""
    if isinstance(value, Section):
        value = value.model_dump(mode="json")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def recipe_hash(recipe: Recipe) -> str:
    """Return a hash of 12 hexadecimal digits over all values of the recipe."""
    return digest(resolved(recipe))


def stored_recipe(values: dict[str, Any]) -> Recipe:
    """Return the recipe of resolved values that this or an earlier version stored.

    Fields that the earlier version lacked get their defaults; renamed fields keep their values.
    """
    data = dict(values["data"])
    if "seen" in data:
        seen = data.pop("seen")
        data["visible"] = _EARLIER_VISIBLE.get(seen, seen)
    return Recipe.model_validate(values | {"data": data})


def is_same(recipe: Recipe, stored: dict[str, Any]) -> bool:
    """Whether `stored` holds the resolved values of this recipe."""
    try:
        return stored_recipe(stored) == recipe
    except (KeyError, ValidationError):
        return False


def provenance(recipe: Recipe, overrides: list[str], data_fingerprint: str) -> dict[str, Any]:
    """Return the origin of a run: start time, versions, git commit, overrides, seed and data."""
    return {
        "schema": "vl.provenance/1",
        "started": datetime.now(UTC).isoformat(),
        "videolatent": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git_commit(),
        "command": sys.argv,
        "overrides": overrides,
        "recipe_hash": recipe_hash(recipe),
        "seed": recipe.training.seed,
        "data_fingerprint": data_fingerprint,
    }


def _version(package: str) -> str | None:
    """Return the installed version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Return the git commit of the working folder; None outside a repository."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def write_json(path: Path, value: object) -> None:
    """Write a JSON file; it gets its name when it is complete."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
