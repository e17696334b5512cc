"""Parser of answers that name options: by their letters, such as `(B)`, or by their texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from videolatent_cli.evaluation.parse_answer import (
    conclusion,
    final_part,
    is_denied,
    just_before,
    read_yes_no,
)
from videolatent_cli.evaluation.words import find_words, word_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNKNOWN_OPTIONS: tuple[str, ...] = ("",) * 26
"""Options that are named by their letters only, since their texts are not known."""
_OWN_LETTER = re.compile(r"\(?([A-Z])[).:]\s+(?=\S)")
"""Letter that an option's own text begins with, such as `B. Dog`."""
_HEAD_LETTER = re.compile(r"[(\[]?[A-Z](?:[)\].:,]|\Z)")
"""Letter at the start of an answer, followed by punctuation."""
_LETTER = re.compile(r"(?<![A-Za-zÀ-ɏ0-9+#.])(?<!\w')([A-Z])(?![A-Za-zÀ-ɏ0-9+#]|['.-]\w)")
"""Capital letter that stands alone."""
_SMALL_LETTER = re.compile(r"\A[(\[]?([a-z])(?:[)\].]?\Z|[).\]:]\s)|(?<!\w)[(\[]([a-z])[)\]](?!\w)")
"""Small letter that is marked as one of an option: alone, in brackets, or like `b) `."""
_ARTICLE_OR_PRONOUN = re.compile(r"A\s+(?!(?:is|was|and|or|because|since|as)\b)[a-z]|I\s+[a-z]")
_BEFORE_LETTER = re.compile(
    r"(?:\A|\n|[(\[<{\"']|[选项择是为:]"
    r"|\b(?:option|choice|answer|letter|select|choose|pick|is)\s*:?\s*)\Z",
    re.IGNORECASE,
)
_AFTER_LETTER = re.compile(r"[.!)\]>}\"']*\Z|[)\]:]|\.\s|\n")
_REASON = re.compile(r"[,.;]?\s+(?:because|since|as)\b|,?因为", re.IGNORECASE)
"""Words that begin the reason of an answer."""


class _Mention(NamedTuple):
    """Option that a text names, and where."""

    option: int
    start: int
    end: int
    by_letter: bool


def read_option(options: Sequence[str], text: str) -> int | None:
    """Return the index of the one option that an answer names, by its letter or by its text.

    A letter and a text that disagree give None, and so do several options, and a letter that is
    also the text of another option.
    """
    final, bodies = final_part(text), _without_letters(options)
    whole = _whole_option(bodies, final)
    if whole is not None and len(final) > 1:
        return whole
    said = _conclusion(final)
    mentions = _mentions(bodies, said)
    if len({mention.option for mention in mentions}) > 1:  # perhaps only the reason names others
        mentions = _mentions(bodies, _REASON.split(said)[0])
    named = {mention.option for mention in mentions}
    if len(named) > 1 and not any(mention.by_letter for mention in mentions):
        return _yes_no_option(bodies, final)
    only = named.pop() if len(named) == 1 else None
    return only if only is not None and only < len(options) else None


def _yes_no_option(options: Sequence[str], text: str) -> int | None:
    """Return the option that `Yes, there is no other` names, if the options are yes and no."""
    words, said = [word_texts(option) for option in options], read_yes_no(text)
    if sorted(words) != [("no",), ("yes",)] or said is None:
        return None
    return words.index(("yes",) if said else ("no",))


def read_options(options: Sequence[str], text: str) -> frozenset[int] | None:
    """Return the indices of all options that an answer names, by their letters or by their texts.

    Letters and texts that disagree give None.
    """
    final, bodies = final_part(text), _without_letters(options)
    whole = _whole_option(bodies, final)
    if whole is not None and len(final) > 1:
        return frozenset([whole])
    said = _conclusion(final)
    joined = _joined_letters(said, len(options))
    if joined and joined == sorted(joined):
        return frozenset(joined)
    mentions = _mentions(bodies, _REASON.split(said)[0])
    letters = {m.option for m in mentions if m.by_letter}
    texts = {m.option for m in mentions if not m.by_letter}
    if (letters and texts and letters != texts) or max(letters, default=0) >= len(options):
        return None
    return frozenset(letters | texts) or None


def read_order(options: Sequence[str] | None, text: str) -> tuple[int | str, ...] | None:
    """Return the order that an answer gives: indices of options, or else the items as texts.

    Without options, items are separated by commas, arrows, `then` or line breaks; a text that has
    none of these is separated at its spaces.
    """
    said = _conclusion(final_part(text))
    if options is None:
        items = _items(said)
        return items if len(items) > 1 else None
    joined = _joined_letters(said, len(options))
    mentions = sorted(_mentions(_without_letters(options), said), key=lambda m: m.start)
    order = joined or [mention.option for mention in mentions]
    is_mixed = not joined and len({mention.by_letter for mention in mentions}) > 1
    if len(order) < 2 or is_mixed or max(order) >= len(options):
        return None
    return tuple(order)


def _conclusion(text: str) -> str:
    """Return where an answer names options; a letter at the start counts more than a later `so`."""
    return conclusion(text, after_so=not _HEAD_LETTER.match(text))


def _without_letters(options: Sequence[str]) -> list[str]:
    """Return options without their letters, if each begins with its own: `A. Cat`, `B. Dog`."""
    own = [_OWN_LETTER.match(option) for option in options]
    if all(m and ord(m[1]) - ord("A") == index for index, m in enumerate(own)):
        return [option[m.end() :] for option, m in zip(options, own, strict=True) if m]
    return list(options)


def _whole_option(options: Sequence[str], text: str) -> int | None:
    """Return the option that a text consists of; None if it is none, or could be several."""
    exact = [i for i, option in enumerate(options) if option.strip() and option.strip() == text]
    words = word_texts(text)
    alike = [i for i, option in enumerate(options) if words and word_texts(option) == words]
    found = exact or alike
    return found[0] if len(found) == 1 else None


def _joined_letters(text: str, count: int) -> list[int]:
    """Return the options of letters with nothing between them, such as `BAC`; else nothing."""
    indices = [ord(char) - ord("A") for char in text.strip(". ")]
    is_joined = len(indices) > 1 and all(0 <= index < count for index in indices)
    return indices if is_joined and len(set(indices)) == len(indices) else []


def _mentions(options: Sequence[str], text: str) -> list[_Mention]:
    """Return the options that a text names and does not deny, by letter and by text.

    Letters count only if one of them stands where an answer does: `Plan B fails` names none.
    """
    texts = _text_mentions(options, text)
    letters = [
        letter
        for letter in _letter_mentions(text)
        if not any(t.start <= letter.start < t.end and t.end - t.start > 1 for t in texts)
    ]
    if not any(_is_answer_letter(text, letter) for letter in letters):
        letters = []
    return [m for m in (*letters, *texts) if not is_denied(text, m.start, m.end)]


def _letter_mentions(text: str) -> Iterator[_Mention]:
    """Yield the letters of a text that may name an option."""
    for found in _LETTER.finditer(text):
        if not _ARTICLE_OR_PRONOUN.match(text, found.start()):
            yield _Mention(ord(found[1]) - ord("A"), *found.span(1), by_letter=True)
    for found in _SMALL_LETTER.finditer(text):
        group = found.lastindex or 1
        yield _Mention(ord(found[group]) - ord("a"), *found.span(group), by_letter=True)


def _is_answer_letter(text: str, letter: _Mention) -> bool:
    """Whether a letter stands where an answer does: first, last, marked, or after `option`."""
    before = _BEFORE_LETTER.search(just_before(text, letter.start))
    return bool(before or _AFTER_LETTER.match(text, letter.end))


def _text_mentions(options: Sequence[str], text: str) -> list[_Mention]:
    """Return the options whose texts occur in a text.

    An option within a longer one that is named, such as `red` in `dark red`, is not meant. Options
    whose words are equal cannot be told apart by their texts.
    """
    words = find_words(text)
    by_option = [word_texts(option) for option in options]
    found = []
    for index, wanted in enumerate(by_option):
        if not wanted or by_option.count(wanted) > 1:
            continue
        for first in range(len(words) - len(wanted) + 1):
            here = words[first : first + len(wanted)]
            if tuple(word.text for word in here) == wanted:
                found.append(_Mention(index, here[0].start, here[-1].end, by_letter=False))
    return [mention for mention in found if not any(_is_within(mention, one) for one in found)]


def _is_within(mention: _Mention, other: _Mention) -> bool:
    """Whether a mention is a part of another, longer one."""
    is_longer = other.end - other.start > mention.end - mention.start
    return is_longer and other.start <= mention.start and mention.end <= other.end


_SEPARATOR = re.compile(
    r"[,;、\n]|->|=>|[>→]|\.\s|\band\b"
    r"|\b(?:after that|then|next|finally|lastly|(?:first|second|third)(?:ly)?)\b",
    re.IGNORECASE,
)
"""What separates the items of an order."""
_ITEM_NUMBER = re.compile(r"(?:\A|(?<=\s))\(?\d+[.)]\s+")


def _items(text: str) -> tuple[str, ...]:
    """Return the items of an order without options, each as its words joined by spaces."""
    pieces = _SEPARATOR.split(_ITEM_NUMBER.sub("\n", text))
    items = [" ".join(word_texts(piece)) for piece in pieces]
    items = [item for item in items if item]
    return tuple(items if len(items) > 1 else word_texts(text))
