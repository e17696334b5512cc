"""Self-contained HTML pages: one file that opens offline, everything in it escaped."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Heading:
    """Starts a part of the page."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    note: bool = False


@dataclass(frozen=True)
class Code:
    """Text as it stands, such as a recipe."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; the cells `alarm` and `ok` are coloured."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A picture that becomes part of the page."""

    kind: ClassVar[str] = "image"
    data: bytes = field(repr=False)
    alt: str
    mime: str = "image/png"

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:{self.mime};base64,{b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True)
class Card:
    """A moment of a video, or an answer, with its picture."""

    title: str
    lines: Sequence[str]
    picture: Picture | None = None
    link: str | None = None
    """Opened by a click on the picture."""


@dataclass(frozen=True)
class Cards:
    """Cards with a field that shows only those that hold some words."""

    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]


Block = Heading | Text | Code | Table | Picture | Cards


def write_page(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write one HTML file, under a temporary name that is then renamed."""
    environment = Environment(
        loader=PackageLoader("videolatent_cli.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
    )
    html = environment.get_template("page.html.jinja").render(title=title, blocks=blocks)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(html, encoding="utf-8")
    part.replace(path)
