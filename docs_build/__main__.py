"""`python -m docs_build`: write the generated pages, then check the site.

With `--check` nothing is written: a page that is not up to date is a problem.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from docs_build.cli_page import cli_page
from docs_build.documents_page import documents_page
from docs_build.site import site_problems
from videolatent_cli.recipe.reference import reference_page

ROOT = Path(__file__).parents[1]
PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": cli_page,
    "docs/reference/recipe.md": reference_page,
    "docs/reference/json-documents.md": documents_page,
}
"""The generated pages and their generators."""


def stale_pages() -> dict[str, str]:
    """Return the new text of each generated page that is not up to date."""
    texts = {name: f"{make()}\n" for name, make in PAGES.items()}
    return {name: text for name, text in texts.items() if _stored(name) != text}


def _stored(name: str) -> str | None:
    """Return the text of a page; None if there is no such file."""
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(*, check: bool) -> list[str]:
    """Write the pages, or only check them; return all problems, one line each."""
    stale = stale_pages()
    if check:
        return [f"{name}: is not up to date; run: make docs" for name in stale] + site_problems(
            ROOT
        )
    for name, text in stale.items():
        (ROOT / name).write_text(text, encoding="utf-8")
    return site_problems(ROOT)


if __name__ == "__main__":
    problems = main(check="--check" in sys.argv[1:])
    sys.exit("\n".join(problems) or None)
