"""Self-contained HTML pages: one file that opens offline, with all content escaped."""

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
    """Heading of a section of the page."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Text:
    """Paragraph of text."""

    kind: ClassVar[str] = "text"
    text: str
    note: bool = False
    """Whether the paragraph is a note, shown in a lighter colour."""


@dataclass(frozen=True)
class Code:
    """Preformatted text, such as a recipe."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """Table; cells with the text `alarm` or `ok` are coloured."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """Picture embedded in the page."""

    kind: ClassVar[str] = "image"
    data: bytes = field(repr=False)
    """Bytes of the picture file."""
    alt: str
    """Text for readers who cannot see the picture."""
    mime: str = "image/png"

    @property
    def url(self) -> str:
        """Picture as a data URL."""
        return f"data:{self.mime};base64,{b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True)
class Card:
    """Card that shows a moment of a video, or an answer, with its picture."""

    title: str
    lines: Sequence[str]
    picture: Picture | None = None
    link: str | None = None
    """URL that a click on the picture opens."""


@dataclass(frozen=True)
class Cards:
    """Grid of cards with a field that filters them by words."""

    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]


Block = Heading | Text | Code | Table | Picture | Cards


def write_page(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write one HTML file, first to a temporary name that is then renamed."""
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
