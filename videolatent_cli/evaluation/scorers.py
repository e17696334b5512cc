"""Scorers: verdicts on answers, which are right, wrong or unparsed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from videolatent_cli.errors import DataError
from videolatent_cli.evaluation.parse_answer import (
    read_interval,
    read_number,
    read_text,
    read_yes_no,
)
from videolatent_cli.evaluation.parse_options import (
    UNKNOWN_OPTIONS,
    read_option,
    read_options,
    read_order,
)
from videolatent_cli.evaluation.words import word_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.data.triplets import Triplet

Verdict = Literal["right", "wrong", "unparsed", "failed"]
"""Verdict on an answer. `unparsed`: the text gives no answer of the expected type, or several;
`failed`: there is no answer, since the video cannot be read."""
INTERVAL_IOU = 0.5
"""Smallest overlap (intersection over union) with which an interval is right.

Choice: the middle one of the three thresholds that Charades-STA reports.
"""
_MAX_LISTED = 20
"""Maximum number of unreadable right answers that an error lists."""


def judge(triplet: Triplet, answer: str) -> Verdict:
    """Return the verdict on an answer, which may have any text around it.

    - `choice`: the option that the answer names by its letter or its text.
    - `multi_choice`: the set of options that it names; all the right ones and no others.
    - `yesno`, `number`: equal values.
    - `interval`: intersection over union with a right interval of at least `INTERVAL_IOU`.
    - `order`: the same items in the same sequence.
    - `text`: the same words; case, articles and punctuation between words do not count. If the
      right answer is one capital letter, the letter that the answer names.
    """
    verdicts = {_compare(triplet, answer, right) for right in _right_answers(triplet)}
    if True in verdicts:
        return "right"
    return "unparsed" if None in verdicts else "wrong"


def is_strictly_right(triplet: Triplet, answer: str) -> bool:
    """Whether the whole answer is a right one, with nothing around it.

    Numbers are compared by value, texts by their words.
    """
    if judge(triplet, answer) != "right":
        return False
    if triplet.answer_type == "number":
        return re.fullmatch(r"\s*[+-]?[\d.,]+\s*", answer) is not None
    words = word_texts(answer)
    return any(
        answer.strip() == right.strip() or words == word_texts(right)
        for right in _right_answers(triplet)
    )


def check_right_answers(triplets: Sequence[Triplet]) -> None:
    """Check that the right answers of questions can be read as answers of their types.

    Raises:
        DataError: If some cannot; no answer to such a question could ever be right.
    """
    bad = [
        f"{t.id}: answer: cannot be read as {t.answer_type}, got {right!r}; fix it, or answer_type"
        for t in triplets
        for right in _right_answers(t)
        if t.answer_type != "choice" and _compare(t, right, right) is not True
    ]
    if bad:
        rest = len(bad) - _MAX_LISTED
        more = [f"... and {rest} more right answers that cannot be read"] if rest > 0 else []
        raise DataError("\n".join([*bad[:_MAX_LISTED], *more]))


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the intersection over union of two intervals, in [0, 1]; 0 if both are empty."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    whole = max(a[1], b[1]) - min(a[0], b[0])
    return max(0.0, shared) / whole if whole > 0 else 0.0


def _right_answers(triplet: Triplet) -> list[str]:
    """Return all texts that count as a right answer."""
    return [triplet.answer, *(triplet.answers or ())]


def _compare(triplet: Triplet, answer: str, right: str) -> bool | None:
    """Return whether an answer gives the same as a right answer; None if it cannot be read."""
    options = triplet.options
    match triplet.answer_type:
        case "choice":
            named = read_option(options or [], answer)
            # Compared as written: options may differ in characters that words leave out.
            return None if named is None else (options or [])[named] == right
        case "multi_choice":
            known = options or UNKNOWN_OPTIONS
            return _same(read_options(known, answer), read_options(known, right))
        case "yesno":
            return _same(read_yes_no(answer), read_yes_no(right))
        case "number":
            return _same(read_number(answer), read_number(right))
        case "interval":
            given, wanted = read_interval(answer), read_interval(right)
            if given is None or wanted is None:
                return _same(given, wanted)
            return overlap(given, wanted) >= INTERVAL_IOU
        case "order":
            return _same(read_order(options, answer), read_order(options, right))
    if re.fullmatch("[A-Z]", right):
        return _same(read_option(UNKNOWN_OPTIONS, answer), ord(right) - ord("A"))
    readings = read_text(answer)
    return word_texts(right) in readings if readings else None


def _same(given: object, wanted: object) -> bool | None:
    """Return whether two values are equal; None if nothing is given."""
    return None if given is None else given == wanted
