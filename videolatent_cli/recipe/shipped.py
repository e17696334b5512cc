"""Recipes that come with the package. Only files are read here: no recipe schema is imported."""

from importlib.util import find_spec
from pathlib import Path

from videolatent_cli.errors import UsageError


def _folder() -> Path:
    """Return the folder of shipped recipes: in an installed package, or beside it in a checkout."""
    spec = find_spec("videolatent_cli")
    assert spec is not None
    package = Path(str(spec.origin)).parent
    installed = package / "shipped_recipes"
    return installed if installed.exists() else package.parent / "recipes"


def shipped_recipes() -> dict[str, str]:
    """Return name and purpose of each shipped recipe; the purpose is its first comment line.

    The order is that of interest to a new user: quickstart, released models, research.
    """
    purposes = {}
    for path in _folder().rglob("*.yaml"):
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        name = path.relative_to(_folder()).with_suffix("").as_posix()
        purposes[name] = first_line.lstrip("# ").split(":", 1)[-1].strip()
    return {name: purposes[name] for name in sorted(purposes, key=_listing_order)}


def _listing_order(name: str) -> tuple[int, str]:
    """Return the sort key of a recipe: its group, then its name."""
    ranks = {"quickstart": 0, "eventworld/": 2, "tiny_backbone": 3}
    released_model = 1
    rank = next((rank for start, rank in ranks.items() if name.startswith(start)), released_model)
    return rank, name


def shipped_recipe(name: str) -> Path:
    """Return the path of a shipped recipe.

    Raises:
        UsageError: For an unknown name.
    """
    path = _folder() / f"{name.removesuffix('.yaml')}.yaml"
    if name.removesuffix(".yaml") not in shipped_recipes():
        known = ", ".join(shipped_recipes())
        raise UsageError(f"recipes: unknown name, got '{name}'; choose from: {known}")
    return path
