"""A triplet's question as the user's turn."""

from collections.abc import Sequence

from videolatent_cli.data.triplets import Triplet


def with_options(question: str, options: Sequence[str]) -> str:
    """Return a question followed by its options, each behind a letter."""
    letters = [f"({chr(ord('A') + index)}) {option}" for index, option in enumerate(options)]
    return "\n".join([question, *letters])


def question_text(triplet: Triplet) -> str:
    """Return what is asked, options included; the answer stays the option's text."""
    return with_options(triplet.question, triplet.options) if triplet.options else triplet.question
