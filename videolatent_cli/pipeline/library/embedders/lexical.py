"""Texts compared without a model, by their words, pairs of neighbouring words, parts of words."""

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
"""Changes when the same text would get another vector."""
DIM = 512
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
"""Words of questions that say nothing of what is shown."""
_PART_LENGTHS = (3, 4)
_WEIGHTS = {"word": 0.5, "pair": 2.0, "part": 0.05}


def lexical_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one vector of unit length a text, (text, 512); zeros for a text without words.

    Choice: words tell what is shown, pairs of neighbours what belongs together ("red square"),
    parts of words join "moved" and "moves"; each is hashed to one place and sign (feature hashing),
    and counts enter by their logarithm.
    """
    out = np.zeros((len(texts), DIM), np.float32)
    for row, text in zip(out, texts, strict=True):
        for (kind, what), count in Counter(_features(text)).items():
            hashed = zlib.crc32(f"{kind} {what}".encode())
            sign = 1.0 if hashed & 1 else -1.0
            row[(hashed >> 1) % DIM] += sign * _WEIGHTS[kind] * (1.0 + np.log(count))
        row /= np.linalg.norm(row) or 1.0
    return out


class LexicalEmbedder:
    """Search vectors of words: no model, nothing to download."""

    name = NAME
    dim = DIM
    source: Final = "text"
    ranks = True
    least_score = 0.22
    """Below this no moment counts as found. Calibrated by `python -m benchmarks library`."""

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[object]
    ) -> NDArray[np.float32]:
        """Return the vectors of segments by what is told of them, (text, 512)."""
        del pictures, features
        return lexical_vectors(texts)

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a query, (512,)."""
        vector: NDArray[np.float32] = lexical_vectors([text])[0]
        return vector

    def score(
        self, query: str, query_vector: NDArray[np.float32], text: str, vector: NDArray[np.float32]
    ) -> float:
        """Return the share of a query that a segment's text holds, in [0, 1]."""
        del query_vector, vector
        return coverage(query, text)


def coverage(query: str, text: str) -> float:
    """Return the share of a query that a text holds, by weight, in [0, 1]."""
    wanted = set(_features(query))
    held = wanted & set(_features(text))
    total = sum(_WEIGHTS[kind] for kind, _ in wanted)
    return sum(_WEIGHTS[kind] for kind, _ in held) / total if total else 0.0


def _features(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a text, their neighbours and their parts."""
    words = [word for word in re.findall(r"\w+", text.lower()) if word not in _STOP_WORDS]
    yield from (("word", word) for word in words)
    yield from (("pair", f"{a} {b}") for a, b in pairwise(words))
    for word in words:
        whole = f"<{word}>"
        for length in _PART_LENGTHS:
            for start in range(len(whole) - length + 1):
                yield "part", whole[start : start + length]
