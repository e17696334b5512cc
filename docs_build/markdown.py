"""Text and tables as Markdown."""

from collections.abc import Iterable, Sequence

_ESCAPES = str.maketrans({"\\": "\\\\", "<": "&lt;", "*": "\\*", "|": "\\|"})


def one_line(text: object) -> str:
    """Return a text as one line of Markdown; nothing outside of `code` is read as markup."""
    parts = " ".join(str(text).split()).split("`")
    return "`".join(part if odd % 2 else part.translate(_ESCAPES) for odd, part in enumerate(parts))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
