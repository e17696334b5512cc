"""Parser of answers: the yes or no, number, interval or words that a model's text gives.

Each `read_` function returns what a text says, or None if it says nothing of that kind, or several
things. None is never replaced by a guess. `parse_options` reads options; `scorers` compares.
"""

from __future__ import annotations

import re

from videolatent_cli.evaluation.words import in_one_spelling, word_texts

_REASONING = re.compile(r"<(?:think|thinking|reasoning)>", re.IGNORECASE)
_REASONING_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_BOXED = re.compile(r"\\boxed\{\s*(?:\\(?:text|mathrm|textbf)\{)?([^{}]*)\}")
_FORMULA = re.compile(r"\$\s*([A-Za-z])\s*\$|\\text\{([^{}]*)\}")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|`+)(?=\S)(.*?)(?<=\S)\1(?!\w)", re.DOTALL)
_ANNOUNCED = re.compile(
    r"\b(?:answer|ans|option|choice)"
    r"(?:\s+(?:is|was|(?:would|should|must|will)\s+be)\b\s*:?|[\"']?\s*[:=])(?:\s*that\b)?"
    r"|答案(?:应该)?[是为]?\s*:?",
    re.IGNORECASE,
)
"""Words that announce the final answer, such as `The answer is`."""
_CONCLUDED = re.compile(
    r"(?:\A|[.,;:!?]\s*|\n\s*)(?:so|therefore|thus|hence)\b,?\s*|(?:所以|因此),?", re.IGNORECASE
)
"""Words that begin the conclusion of an argument; `so` only at the start of a clause."""
_OPINION = re.compile(r"\Ai\s+(?:think|believe|guess|would say)(?:\s+that)?\s+", re.IGNORECASE)
_PRONOUN = re.compile(
    r"\A(?:it|this|that|there|they|he|she)(?:'s|'re|\s+(?:is|are|was|were))\s+", re.IGNORECASE
)
"""Words before a short answer that add nothing to it, such as `it is`."""
_CONTEXT = 64
"""Number of characters before a word that are searched for what denies it."""
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|never|neither|nor|except|rather than|instead of|other than)\b|n't\b)"
    r"\s*(?:\w+\s+){0,2}[(\[\"']?\Z|(?:不是|不选|不)\Z",
    re.IGNORECASE,
)
"""End of the text before something that is denied: a negation, and at most two other words."""
_DENIED_AFTER = re.compile(
    r"[)\].\"']?\s+(?:is|was|are|were|does|did|can|could)"
    r"(?:\s+not\b|n't\b|not\b|\s+(?:wrong|incorrect|false)\b)",
    re.IGNORECASE,
)
"""Start of the text after something that is denied, such as ` is wrong`."""


def final_part(text: str) -> str:
    r"""Return the part of a model's text that gives its answer, in one spelling.

    That is what the last `<answer>` tag or `\boxed{}` contains, else what follows `</think>`.
    Reasoning that never ends gives nothing. Marks of Markdown and LaTeX are removed.
    """
    text = _REASONING_END.split(in_one_spelling(text))[-1]
    text = _REASONING.split(text)[0]
    for marked in (_TAGGED, _BOXED):
        found = marked.findall(text)
        text = found[-1] if found else text
    text = _FORMULA.sub(lambda formula: formula[1] or formula[2], text)
    return _EMPHASIS.sub(r"\2", text).strip()


def conclusion(text: str, *, after_so: bool = True) -> str:
    """Return what follows the last words that announce the answer; the whole text if none do.

    What stands before these words is not read, even if they announce nothing that can be read.

    Args:
        text: Final part of a model's text.
        after_so: Whether words such as `so` announce the answer, as `The answer is` always does.
    """
    parts = _ANNOUNCED.split(text)
    if after_so and len(parts) == 1:
        parts = _CONCLUDED.split(text)
    return parts[-1].strip() or text


def is_denied(text: str, start: int, end: int) -> bool:
    """Whether a text denies what stands from `start` to `end`, as in `not B` or `B is wrong`."""
    return bool(_DENIED_BEFORE.search(just_before(text, start)) or _DENIED_AFTER.match(text, end))


def just_before(text: str, index: int) -> str:
    """Return the text right before a place; longer ones would make long answers slow to read."""
    return text[max(0, index - _CONTEXT) : index]


def read_text(text: str) -> list[tuple[str, ...]]:
    """Return the readings of a free answer as words: whole, and without what announces it."""
    final = final_part(text)
    parts = [final, conclusion(final)]
    for opening in (_OPINION, _PRONOUN):
        parts += [opening.sub("", part, count=1) for part in parts]
    readings = map(word_texts, parts)
    return list(dict.fromkeys(reading for reading in readings if reading))


# --- yes or no


def _standing(words: str) -> str:
    """Return the pattern of words that come first, or right before punctuation or the end."""
    return rf"\A\W*(?:{words})\b|\b(?:{words})(?=\s*(?:[.,;:!?\n]|\Z))"


_YES = re.compile(rf"\byes\b|{_standing('yeah|yep|true')}", re.IGNORECASE)
_NO = re.compile(_standing("no|nope|false"), re.IGNORECASE)
_FIRST_YES_NO = re.compile(r"\W*(?:yes|no)\b", re.IGNORECASE)
_CHINESE_YES_NO = {
    "是": True,
    "是的": True,
    "对": True,
    "有": True,
    "否": False,
    "不是": False,
    "不对": False,
    "没有": False,
}


def read_yes_no(text: str) -> bool | None:
    """Return whether an answer says yes or no; None for neither or both.

    `no` counts as the first word, or before punctuation: `Yes, there is no other` says yes.
    """
    final = final_part(text)
    said = conclusion(final, after_so=not _FIRST_YES_NO.match(final))
    clause = re.split(r"[,.。;!?\s]", said, maxsplit=1)[0]
    if clause in _CHINESE_YES_NO:
        return _CHINESE_YES_NO[clause]
    values = {
        value
        for value, pattern in ((True, _YES), (False, _NO))
        for word in pattern.finditer(said)
        if not is_denied(said, *word.span())
    }
    return values.pop() if len(values) == 1 else None


# --- numbers

_VALUE = (
    r"(?<![A-Za-z0-9_.])[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?"
    r"(?![\d+]|(?:st|nd|rd|th)\b)"
)
_NUMBER = re.compile(_VALUE, re.IGNORECASE)
_SPACED = re.compile(r"\d{1,3}(?: \d{3})+")
"""Number with spaces between groups of three digits."""
_ABOUT = r"(?:(?:about|around|approximately|roughly|only|exactly|a total of)\s+)?"
_STATED = re.compile(
    rf"\b(?:there|it|that|this|they)(?:'s|'re|\s+(?:is|are|was|were))\s+{_ABOUT}({_VALUE})"
    r"(?!\s*(?:or|to|and|-|/|,)\s*[-\d])",
    re.IGNORECASE,
)
"""Number that a sentence states first, such as 3 in `There are 3 objects: 1 red and 2 blue`."""
_BOUND = re.compile(
    r"\b(?:(?:more|less|fewer|greater|other)\s+than|at\s+(?:least|most)|over|under|up\s+to)\s+\Z",
    re.IGNORECASE,
)
"""End of the text before a number that is only a bound."""
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve",
    "零 一 二 三 四 五 六 七 八 九 十",
)
_WORD_VALUES = {word: n for words in _NUMBER_WORDS for n, word in enumerate(words.split())}
_NUMBER_WORD = re.compile(
    rf"{_ABOUT}(?:({_NUMBER_WORDS[0].replace(' ', '|')})"
    r"(?![\w-]|\s+(?:of|or|to|and|hundred|thousand|million|dozen|point)\b)"
    r"|([零一二三四五六七八九十])(?![零一二三四五六七八九十百千万点]))",
    re.IGNORECASE,
)


def read_number(text: str) -> float | None:
    """Return the number that an answer gives; several different numbers give None.

    Choice: English and Chinese words for zero to twelve count at the start of an answer; longer
    words for numbers do not. Ordinals, such as `2nd`, and bounds, such as `at least 3`, are no
    numbers.
    """
    said = conclusion(final_part(text)).rstrip(".")
    if _SPACED.fullmatch(said):
        said = said.replace(" ", "")
    values = {
        float(number[0]) for number in _NUMBER.finditer(said) if not _is_excluded(said, number)
    }
    word = _NUMBER_WORD.match(_PRONOUN.sub("", _OPINION.sub("", said, count=1), count=1))
    if word:
        values.add(float(_WORD_VALUES[(word[1] or word[2]).lower()]))
    stated = {float(value) for value in _STATED.findall(said)}
    if len(values) > 1 and len(stated) == 1:
        return stated.pop()
    return values.pop() if len(values) == 1 else None


def _is_excluded(text: str, number: re.Match[str]) -> bool:
    """Whether a text denies a number, or gives it only as a bound."""
    return is_denied(text, *number.span()) or bool(_BOUND.search(just_before(text, number.start())))


# --- intervals

_TIME = r"(?<![\d.,:])(?:\d+:)?(?:\d+:)?\d+(?:\.\d+)?(?![\d:]|[.,]\d)"
_RANGE = re.compile(
    rf"({_TIME})\s*(?:s|sec|secs|seconds)?\s*(?:-|~|to|and|until)\s*({_TIME})", re.IGNORECASE
)
_LONG_UNITS = re.compile(r"(?<![a-z])(?:m|min|mins|minutes?|h|hrs?|hours?)\b", re.IGNORECASE)


def read_interval(text: str) -> tuple[float, float] | None:
    """Return the start and end (s) of the one interval that an answer gives, the earlier first.

    Times are seconds, `mm:ss` or `hh:mm:ss`. Words for minutes and hours give None.
    """
    said = conclusion(final_part(text))
    times, ranges = re.findall(_TIME, said), _RANGE.findall(said)
    pair = times if len(times) == 2 else ranges[0] if len(ranges) == 1 else None
    if pair is None or _LONG_UNITS.search(said):
        return None
    start, end = sorted(map(_seconds, pair))
    return start, end


def _seconds(time: str) -> float:
    """Return the seconds of a time that is written as seconds, `mm:ss` or `hh:mm:ss`."""
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total
