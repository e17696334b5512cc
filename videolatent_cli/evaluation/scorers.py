"""Whether an answer is right."""

import re
import string

from videolatent_cli.data.triplets import Triplet

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Return a text in lower case, without articles, punctuation and extra space."""
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def is_right(triplet: Triplet, answer: str) -> bool:
    """Whether an answer equals one of the right ones after normalising."""
    right = {normalise(text) for text in (triplet.answer, *(triplet.answers or ()))}
    return normalise(answer) in right
