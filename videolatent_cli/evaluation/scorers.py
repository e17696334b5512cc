"""Scorers: verdicts on answers, which are right, wrong or unparsed."""

import re
import string
from collections.abc import Sequence
from typing import Literal

from videolatent_cli.data.triplets import Triplet

Verdict = Literal["right", "wrong", "unparsed"]
"""Verdict on an answer; `unparsed`: the text gives no answer of the expected type."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LEAD = re.compile(r"\b(?:answer is\s*:?|answer\s*:|so)\s+", re.IGNORECASE)
"""Words that introduce the final answer."""
_LETTER = re.compile(r"\(?([A-Za-z])(?:[).:]|$)")
"""Letter of an option at the start of an answer, such as `(A)`, `a.` or `B`."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def normalise(text: str) -> str:
    """Return a text in lower case, without articles, punctuation and extra spaces."""
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def is_strictly_right(triplet: Triplet, answer: str) -> bool:
    """Whether the whole answer equals a right one: numbers by value, texts after `normalise`."""
    right = [triplet.answer, *(triplet.answers or ())]
    if triplet.answer_type == "number":
        return bool(_numbers([answer]) & _numbers(right))
    return normalise(answer) in {normalise(text) for text in right}


def judge(triplet: Triplet, answer: str) -> Verdict:
    """Return the verdict on an answer, which may have any text around it.

    Choice: the text after the last "answer is", "answer:" or "so" counts, so that a sentence or a
    chain of thought is judged by its end. Options may be named by letter or by text.
    """
    if is_strictly_right(triplet, answer):
        return "right"
    parsed = parse_answer(triplet, answer)
    if parsed is None:
        return "unparsed"
    return "right" if is_strictly_right(triplet, parsed) else "wrong"


def parse_answer(triplet: Triplet, text: str) -> str | None:
    """Return the option, yes, no, number or text that an answer gives; None if it gives none."""
    final = _LEAD.split(text)[-1].strip()
    match triplet.answer_type:
        case "choice":
            return _option(triplet.options or [], final)
        case "yesno":
            return _only({word for word in normalise(final).split() if word in ("yes", "no")})
        case "number":
            return _only(set(_NUMBER.findall(final)))
    return final or None


def _numbers(texts: Sequence[str]) -> set[float]:
    """Return the values of those texts that are numbers."""
    return {float(text) for text in texts if _NUMBER.fullmatch(text.strip())}


def _option(options: Sequence[str], answer: str) -> str | None:
    """Return the option that an answer names by its letter, or as the only one by its text."""
    letter = _LETTER.match(answer)
    if letter and ord(letter[1].upper()) - ord("A") < len(options):
        return options[ord(letter[1].upper()) - ord("A")]
    text = f" {normalise(answer)} "
    named = [option for option in options if f" {normalise(option)} " in text]
    # An option within a longer named one, such as "red" in "dark red", is not meant.
    longest = [o for o in named if not any(o != p and normalise(o) in normalise(p) for p in named)]
    return _only(set(longest))


def _only(candidates: set[str]) -> str | None:
    """Return the only candidate; None if there are several or none."""
    return next(iter(candidates)) if len(candidates) == 1 else None
