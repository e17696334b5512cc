"""Words of an answer: what remains of a text if case, articles and punctuation do not count."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Characters of scripts without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
Each counts as a word of its own."""
_SPELLINGS = {0xFF01 + i: chr(0x21 + i) for i in range(94)} | {
    0x3000: " ",  # the wide space of Chinese and Japanese text
    0x3010: "[",
    0x3011: "]",
    0x2010: "-",  # hyphens, dash of ranges, minus sign
    0x2011: "-",
    0x2012: "-",
    0x2013: "-",
    0x2212: "-",
    0x2018: "'",
    0x2019: "'",
}
"""Characters that are only another spelling of an ASCII character, as full-width letters are."""
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?![\d,])")
"""Number with separators between groups of three digits, such as `1,000`."""
_RUN = re.compile(rf"[{_UNSPACED}]|%|[^\s%{_UNSPACED}]+")
_AFTER_DIGIT = re.compile(r"(?<=\d)(?=[^\W\d_]|°)")
"""Place between a number and its unit."""
_ARTICLES = frozenset({"a", "an", "the"})


class Word(NamedTuple):
    """Word of a text, with its place."""

    text: str
    """Word in lower case."""
    start: int
    """Index of its first character in the text."""
    end: int
    """Index after its last character."""


def in_one_spelling(text: str) -> str:
    """Return a text with composed accents, ASCII letters for full-width ones, plain numbers.

    Invisible characters are removed, and `1,000` becomes `1000`.
    """
    text = unicodedata.normalize("NFC", text).translate(_SPELLINGS)
    text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return _THOUSANDS.sub(lambda number: re.sub(r"\D", "", number[0]), text)


def find_words(text: str) -> list[Word]:
    """Return the words of a text in one spelling, without articles.

    Choice: punctuation separates words and is never deleted from within one. Signs, decimal points,
    colons of times, `%`, `#`, `+` and currencies are parts of words, since `-5`, `1.5`, `2:30`,
    `10%` and `C++` are not `5`, `15`, `23:0`, `10` and `C`. A number and its unit are two words.
    """
    parts = "".join(char if _is_part(text, index) else " " for index, char in enumerate(text))
    words = [
        Word(_folded(part), run.start(), run.end())
        for run in _RUN.finditer(parts)
        for part in _AFTER_DIGIT.split(run[0])
    ]
    return [word for index, word in enumerate(words) if not _is_article(text, words, index)]


def word_texts(text: str) -> tuple[str, ...]:
    """Return the words of a text in any spelling; two texts with equal words say the same."""
    return tuple(word.text for word in find_words(in_one_spelling(text)))


def _folded(word: str) -> str:
    """Return a word in lower case, and `%` for `percent`."""
    lower = word.casefold()
    return "%" if lower == "percent" else lower


def _is_article(text: str, words: list[Word], index: int) -> bool:
    """Whether a word is an article: a longer word follows it, as in `a cat` but not in `A, C`.

    A capital `A` within a text is none, as in `vitamin A deficiency`.
    """
    word = words[index]
    if word.text not in _ARTICLES or index + 1 == len(words):
        return False
    following = words[index + 1]
    is_capital = index > 0 and text[word.start : word.end] == "A"
    gap = text[word.end : following.start]
    return not is_capital and gap.isspace() and len(following.text) > 1


def _is_part(text: str, index: int) -> bool:
    """Whether a character is part of a word, rather than punctuation between words."""
    char, before, after = text[index], text[index - 1 : index], text[index + 1 : index + 2]
    kind = unicodedata.category(char)
    if kind[0] in "LMN" or char == "%":
        return True
    if kind[0] == "S":
        return kind != "Sk" and char not in "|~"
    match char:
        case "-":  # a sign, a range, or a mark such as `A-`; not within `T-shirt`, and no dash
            left, right = before.isalnum(), after.isalnum() or after in (".", "$", "€", "£")
            return after.isdigit() or left != right
        case ".":
            return after.isdigit() and not before.isalpha()
        case "," | ":" | "/":
            return before.isdigit() and after.isdigit()
        case "#" | "@":
            return before.isalnum() or after.isalnum()
        case "*":
            return before.isalnum() and after.isalnum()
    return False
