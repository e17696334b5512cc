"""Progress callback of long commands."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Function that is called with the name of the work, the number of items done, and their total."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing: the default progress callback."""
    del what, done, total
