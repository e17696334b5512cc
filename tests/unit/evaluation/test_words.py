"""Words of an answer: what counts when two texts are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videolatent_cli.evaluation.words import in_one_spelling, word_texts

DIFFERENT = [
    ("1.5 seconds", "15 seconds"),
    ("2:30", "23:0"),
    ("1:30", "13:0"),
    ("$1.20", "$120"),
    ("-5", "5"),
    ("+5", "-5"),
    ("-x", "x"),
    ("x > y", "x < y"),
    ("1/2", "12"),
    ("1/2", "1 2"),
    ("10%", "10"),
    ("10-12", "1012"),
    (".5", "5"),
    ("C++", "C#"),
    ("C++", "C"),
    ("A+", "A-"),
    ("A-", "A"),
    ("#1", "1"),
    ("A -> B", "A <- B"),
    ("a", "the"),
    ("A, C", "C"),
    ("A C", "C"),
    ("vitamin A deficiency", "vitamin deficiency"),
    ("vitamin A", "vitamin"),
    ("20°C", "20 C"),
    ("3,14", "314"),
    ("कि", "का"),
    ("I", "II"),
]
SAME = [
    ("A  Red, one!", "red one"),
    ("the red circle", "a red circle"),
    ("red-ish", "red ish"),
    ("**red** circle", "red circle"),
    ("3 m", "3m"),
    ("50%", "50 percent"),
    ("50 %", "50%"),
    ("1,000 m", "1000m"),
    ("cafe\u0301", "caf\u00e9"),
    ("\uff22", "b"),
    ("\u7ea2\u8272\u3002", "\u7ea2\u8272"),
    ("\u0645\u0631\u062d\u0628\u0627\u060c", "\u0645\u0631\u062d\u0628\u0627"),
    ("10\u201312", "10-12"),
    ("\u22125", "-5"),
    ("dog\u200b", "dog"),
    ("Stra\u00dfe", "STRASSE"),
    ("It's red.", "it\u2019s red"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_signs_points_and_symbols_count(one: str, other: str) -> None:
    assert word_texts(one) != word_texts(other)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_articles_punctuation_and_spelling_do_not_count(one: str, other: str) -> None:
    assert word_texts(one) == word_texts(other)


def test_punctuation_alone_is_no_word() -> None:
    assert word_texts("") == word_texts("...") == word_texts(" ?! ") == ()
    assert word_texts("the") == ("the",)


@given(st.text())
def test_words_of_any_text_are_the_words_of_their_own_sequence(text: str) -> None:
    words = word_texts(text)
    assert all(word and not word.isspace() for word in words)
    assert in_one_spelling(in_one_spelling(text)) == in_one_spelling(text) or "," in text
