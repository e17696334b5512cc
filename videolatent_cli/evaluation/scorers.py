"""Whether an answer is right, wrong, or says nothing that can be judged."""

import re
import string
from collections.abc import Sequence
from typing import Literal

from videolatent_cli.data.triplets import Triplet

Verdict = Literal["right", "wrong", "unparsed"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LEAD = re.compile(r"\b(?:answer is\s*:?|answer\s*:|so)\s+", re.IGNORECASE)
_LETTER = re.compile(r"\(?([A-Za-z])(?:[).:]|$)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def normalise(text: str) -> str:
    """Return a text in lower case, without articles, punctuation and extra space."""
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def is_strictly_right(triplet: Triplet, answer: str) -> bool:
    """Whether the whole answer equals one of the right ones; numbers by value, texts normalised."""
    right = [triplet.answer, *(triplet.answers or ())]
    if triplet.answer_type == "number":
        return bool(_numbers([answer]) & _numbers(right))
    return normalise(answer) in {normalise(text) for text in right}


def judge(triplet: Triplet, answer: str) -> Verdict:
    """Return the verdict on what an answer says, whatever stands around it.

    Choice: what follows the last "answer is", "answer:" or "so" counts, so that a sentence or a
    chain of thought is judged by its end; options may be named by letter or text.
    """
    if is_strictly_right(triplet, answer):
        return "right"
    said = parse_answer(triplet, answer)
    if said is None:
        return "unparsed"
    return "right" if is_strictly_right(triplet, said) else "wrong"


def parse_answer(triplet: Triplet, text: str) -> str | None:
    """Return the option, yes, no, number or text that an answer gives; None where it gives none."""
    said = _LEAD.split(text)[-1].strip()
    match triplet.answer_type:
        case "choice":
            return _option(triplet.options or [], said)
        case "yesno":
            return _only({word for word in normalise(said).split() if word in ("yes", "no")})
        case "number":
            return _only(set(_NUMBER.findall(said)))
    return said or None


def _numbers(texts: Sequence[str]) -> set[float]:
    """Return the numbers among texts."""
    return {float(text) for text in texts if _NUMBER.fullmatch(text.strip())}


def _option(options: Sequence[str], said: str) -> str | None:
    """Return the option that is named by its letter, or alone by its text."""
    letter = _LETTER.match(said)
    if letter and ord(letter[1].upper()) - ord("A") < len(options):
        return options[ord(letter[1].upper()) - ord("A")]
    text = f" {normalise(said)} "
    named = [option for option in options if f" {normalise(option)} " in text]
    longest = [o for o in named if not any(o != p and normalise(o) in normalise(p) for p in named)]
    return _only(set(longest))


def _only(found: set[str]) -> str | None:
    """Return the one thing that was found, None where there are several or none."""
    return next(iter(found)) if len(found) == 1 else None
