"""Checks of the site that `zensical build --strict` does not make."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_MARKUP = re.compile(r"`|\*|!?\[([^\]]*)\]\([^)]*\)")


def site_problems(root: Path) -> list[str]:
    """Return what is wrong with the site of a repository, one line per problem.

    Zensical reports links to missing pages and headings only. These checks add pages of the
    navigation that are missing, pages that the navigation lacks, and links to any other file.
    """
    docs = root / "docs"
    project = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))["project"]
    named = list(_pages(project["nav"]))
    left_out = set(project.get("exclude_docs", "").split())
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    return [
        *(f"zensical.toml: nav names a missing page: {page}" for page in set(named) - pages),
        *(f"zensical.toml: exclude_docs names a missing page: {page}" for page in left_out - pages),
        *(f"zensical.toml: nav lacks {page}" for page in pages - set(named) - left_out),
        *(p for page in sorted(pages - left_out) for p in link_problems(docs, docs / page)),
    ]


def link_problems(docs: Path, page: Path) -> list[str]:
    """Return the links of a page that lead nowhere, or out of the folder of the site."""
    problems = []
    for target in _links(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        where = f"{page.relative_to(docs.parent)}: link to {target}"
        if not linked.is_relative_to(docs.resolve()):
            problems.append(f"{where}: leaves docs/, so the site lacks it")
        elif not linked.exists():
            problems.append(f"{where}: no such file")
        elif anchor and linked.suffix == ".md" and anchor not in _anchors(linked):
            problems.append(f"{where}: no such heading")
    return problems


def _pages(nav: Any) -> Iterator[str]:  # noqa: ANN401 - nested lists and tables
    """Yield the pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(item)


def _links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links to files; links in code and to other sites are none."""
    for match in _LINK.finditer(_CODE.sub("", _FENCE.sub("", text))):
        target = match[1] or match[2]
        if not re.match(r"[a-z]+:", target):
            yield target


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    source = _FENCE.sub("", page.read_text(encoding="utf-8"))
    anchors: Counter[str] = Counter()
    names = set()
    for match in _HEADING.finditer(source):
        text = unicodedata.normalize("NFKD", _MARKUP.sub(r"\1", match[1]))
        plain = re.sub(r"[^\w\s-]", "", text.encode("ascii", "ignore").decode()).strip().lower()
        slug = re.sub(r"[-\s]+", "-", plain)
        names.add(f"{slug}_{anchors[slug]}" if anchors[slug] else slug)
        anchors[slug] += 1
    return names
