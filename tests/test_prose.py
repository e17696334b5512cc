"""Plain English: no relapse into phrases that readers stumbled over (see CONTRIBUTING.md, "Words").

A line of a failure is `FILE:LINE: PHRASE: TEXT`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import videolatent_cli

ROOT = Path(videolatent_cli.__file__).parents[1]

PHRASES = (
    r"goes on where",
    r"go on with",
    r"going on with",
    r"foretells?",
    r"foretold",
    r"mend(s|ed|ing)?",
    r"(is|are|was|were) told",
    r"tells? of",
    r"no more than what",
    r"the while",
    r"at hand",
    r"ma(k|d)es? anew",
    r"wish(es|ed)?",
)
"""Phrases that no text may contain."""
HEADLESS = ("Of the ", "What ", "How ", "Whose ", "Where ")
"""Openings of a docstring that leave out the thing it describes."""

_PHRASE = re.compile(rf"\b({'|'.join(PHRASES)})\b", re.IGNORECASE)
_CODE = re.compile(r"```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def sources() -> list[Path]:
    """Return the modules of the package, the benchmarks and the examples."""
    folders = ("videolatent_cli", "benchmarks", "examples")
    return sorted(path for name in folders for path in (ROOT / name).rglob("*.py"))


def pages() -> list[Path]:
    """Return all written pages and recipes."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    return [*sorted(ROOT.glob("*.md")), ROOT / "recipes/README.md", *docs, *recipes]


def strings(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield line, text and "is a docstring" of each string of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, id(node) in documentation


def phrases(path: Path, line: int, text: str) -> Iterator[str]:
    """Yield where a text contains a refused phrase."""
    for match in _PHRASE.finditer(text):
        at = line + text.count("\n", 0, match.start())
        around = text.splitlines()[at - line].strip()
        yield f"{path.relative_to(ROOT)}:{at}: {match[0]}: {around}"


def without_code(text: str) -> str:
    """Return a page with its code blanked out, each line in its place."""
    return _CODE.sub(lambda match: "\n" * match[0].count("\n"), text)


def refuse(findings: list[str]) -> None:
    """Fail with one line per finding."""
    if findings:
        pytest.fail("\n" + "\n".join(findings), pytrace=False)


def test_no_text_of_the_code_contains_a_refused_phrase() -> None:
    refused = [
        finding
        for path in sources()
        for line, text, _ in strings(path)
        for finding in phrases(path, line, text)
    ]
    refuse(refused)


def test_no_page_contains_a_refused_phrase() -> None:
    refused = [
        finding
        for path in pages()
        for finding in phrases(path, 1, without_code(path.read_text(encoding="utf-8")))
    ]
    refuse(refused)


def test_docstrings_name_what_they_describe() -> None:
    headless = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sources()
        for line, text, documents in strings(path)
        if documents and text.startswith(HEADLESS)
    ]
    refuse(headless)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mend the file.", True),
        ("A first line,\nthen it goes on where it was.", True),
        ("We recommend it; the amendment stands.", False),
        ("He was told.", True),
    ],
)
def test_phrases_are_found_as_words_in_any_line(text: str, found: bool) -> None:
    assert bool(list(phrases(ROOT / "page.md", 1, text))) is found


def test_code_of_a_page_is_not_prose() -> None:
    page = "`mend` is refused\n```sh\nmend it\n```\nmend"
    findings = list(phrases(ROOT / "page.md", 1, without_code(page)))
    assert [finding.split(": ")[0] for finding in findings] == ["page.md:5"]
