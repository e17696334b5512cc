"""Search vectors of texts without a model: words, pairs of adjacent words, and parts of words."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

NAME = "lexical-1"
"""Name of the embedder; must change whenever the same text would get another vector."""
DIM = 512
"""Length of a vector."""
_STOP_WORDS = frozenset(
    {
        "a",
        "an",
        "and",
        "any",
        "are",
        "at",
        "did",
        "do",
        "does",
        "for",
        "from",
        "go",
        "goes",
        "has",
        "have",
        "how",
        "in",
        "is",
        "it",
        "its",
        "many",
        "of",
        "on",
        "or",
        "show",
        "shows",
        "that",
        "the",
        "there",
        "they",
        "this",
        "time",
        "times",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "with",
    }
)
"""Words that describe nothing in a video; most are words of questions."""
_PART_LENGTHS = (3, 4)
"""Numbers of characters in a part of a word."""
_WEIGHTS = {"word": 0.5, "pair": 2.0, "part": 0.05}
"""Weight of a term by its kind."""


def lexical_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one unit vector per text, (text, 512); zeros for a text without words.

    Choice: words name what is shown. Pairs of adjacent words keep together what belongs together
    ("red square"). Parts of words make "moved" similar to "moves". Each term is hashed to one
    position and sign (feature hashing), and counts enter by their logarithm.
    """
    vectors = np.zeros((len(texts), DIM), np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        for (kind, term), count in Counter(_terms(text)).items():
            # crc32, because Python's hash() of a string differs between processes.
            hashed = zlib.crc32(f"{kind} {term}".encode())
            sign = 1.0 if hashed & 1 else -1.0
            vector[(hashed >> 1) % DIM] += sign * _WEIGHTS[kind] * (1.0 + np.log(count))
        vector /= np.linalg.norm(vector) or 1.0
    return vectors


class LexicalEmbedder:
    """Embedder of texts by their words; needs no model and no download."""

    name = NAME
    dim = DIM
    source: Final = "text"
    orders_by_score = True
    default_min_score = 0.22
    """Lowest score of a moment that a question is put to.

    Calibrated by `python -m benchmarks library`.
    """

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[object]
    ) -> NDArray[np.float32]:
        """Return the vectors of segments by their search texts, (text, 512)."""
        del pictures, features
        return lexical_vectors(texts)

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a query, (512,)."""
        vector: NDArray[np.float32] = lexical_vectors([text])[0]
        return vector

    def score(
        self, query: str, query_vector: NDArray[np.float32], text: str, vector: NDArray[np.float32]
    ) -> float:
        """Return the share of a query that the search text of a segment contains, in [0, 1]."""
        del query_vector, vector
        return coverage(query, text)


def coverage(query: str, text: str) -> float:
    """Return the share of the terms of a query that a text contains, by weight, in [0, 1]."""
    wanted = set(_terms(query))
    contained = wanted & set(_terms(text))
    total = sum(_WEIGHTS[kind] for kind, _ in wanted)
    return sum(_WEIGHTS[kind] for kind, _ in contained) / total if total else 0.0


def _terms(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each term: words, pairs of adjacent words, and parts of words."""
    words = [word for word in re.findall(r"\w+", text.lower()) if word not in _STOP_WORDS]
    yield from (("word", word) for word in words)
    yield from (("pair", f"{a} {b}") for a, b in pairwise(words))
    for word in words:
        marked = f"<{word}>"  # parts at the start and at the end of a word are terms of their own
        for length in _PART_LENGTHS:
            for start in range(len(marked) - length + 1):
                yield "part", marked[start : start + length]
