"""The recipes that come with the package, as files: listing them needs no recipe schema."""

from importlib.util import find_spec
from pathlib import Path

from videolatent_cli.errors import UsageError


def _folder() -> Path:
    """Return the folder of shipped recipes: beside the package in a checkout, inside it else."""
    spec = find_spec("videolatent_cli")
    assert spec is not None
    package = Path(str(spec.origin)).parent
    installed = package / "shipped_recipes"
    return installed if installed.exists() else package.parent / "recipes"


def shipped_recipes() -> dict[str, str]:
    """Return name and purpose, the first comment line, of each shipped recipe."""
    found = {}
    for path in sorted(_folder().rglob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        name = path.relative_to(_folder()).with_suffix("").as_posix()
        found[name] = first.lstrip("# ").split(":", 1)[-1].strip()
    return found


def shipped_recipe(name: str) -> Path:
    """Return the file of a shipped recipe.

    Raises:
        UsageError: For an unknown name.
    """
    path = _folder() / f"{name.removesuffix('.yaml')}.yaml"
    if name.removesuffix(".yaml") not in shipped_recipes():
        known = ", ".join(shipped_recipes())
        raise UsageError(f"recipes: unknown name, got '{name}'; choose of: {known}")
    return path
