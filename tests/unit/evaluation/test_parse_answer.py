"""Yes or no, numbers, intervals and words in usual and unusual wordings, written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videolatent_cli.evaluation.parse_answer import (
    final_part,
    read_interval,
    read_number,
    read_text,
    read_yes_no,
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("B", "B"),
        ("<think>A?</think> B", "B"),
        ("A or C?</think>B", "B"),
        ("<think>A, no, C", ""),
        ("<answer>B</answer>", "B"),
        ("<answer>A</answer> wait <answer>B</answer>", "B"),
        ("<think>x</think>\n<answer> B", "B"),
        ("So \\boxed{B} it is", "B"),
        ("\\boxed{\\text{B}}", "B"),
        ("$B$ and \\text{x}", "B and x"),
        ("**B** is _it_, `yes`", "B is it, yes"),
        ("2 * 3 * 4, a_b_c", "2 * 3 * 4, a_b_c"),
        ("$1.20 or $120", "$1.20 or $120"),
    ],
)
def test_the_final_part_of_a_text(text: str, part: str) -> None:
    assert final_part(text) == part


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes", True),
        ("yes it does", True),
        ("Yes, there is no other", True),
        ("Yes. No doubt.", True),
        ("I would say yes", True),
        ("The answer is yes.", True),
        ("True", True),
        ("That is true.", True),
        ("是", True),
        ("是的\uff0c它移动了", True),
        ("**No**", False),
        ("No, there is no dog", False),
        ("No object moved", False),
        ("It stopped, so no", False),
        ("False.", False),
        ("没有", False),
        ("不是。", False),
        ("yes and no", None),
        ("yes or no", None),
        ("No. Yes", None),
        ("Yes/No", None),
        ("True or false?", None),
        ("There is no other", None),
        ("That is not true", None),
        ("I don't know", None),
        ("notice", None),
        ("yesterday", None),
        ("the true color", None),
        ("red", None),
        ("", None),
    ],
)
def test_yes_or_no(text: str, value: bool | None) -> None:
    assert read_yes_no(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.", 3),
        ("3.0", 3),
        ("-2", -2),
        ("\u22122", -2),
        ("+2", 2),
        (".5", 0.5),
        ("1e3", 1000),
        ("1,000", 1000),
        ("1 000", 1000),
        ("1\u00a0000 people", 1000),
        ("1,234,567.5", 1234567.5),
        ("\uff13", 3),
        ("3 times", 3),
        ("3m", 3),
        ("about 3.1400", 3.14),
        ("有3个", 3),
        ("<answer>3</answer>", 3),
        ("the total is 3.50 meters", 3.5),
        ("It is 3.14 meters in 2 steps", 3.14),
        ("There are 3 objects: 1 red and 2 blue", 3),
        ("1 red circle up ; 2 blue square left ; so 3", 3),
        ("The answer is 4, since 2 and 2", None),
        ("three", 3),
        ("Three objects.", 3),
        ("I think there are three", 3),
        ("three (3)", 3),
        ("三", 3),
        ("三个", 3),
        ("the red one moved 3 times", 3),
        ("2 or 3", None),
        ("there are 2 to 3", None),
        ("1 red circle up ; 2 blue square left", None),
        ("one apple, room 2", None),
        ("10-12", None),
        ("1/2", None),
        ("12:30", None),
        ("3,14", None),
        ("not 3", None),
        ("at least 3", None),
        ("more than 3", None),
        ("3+", None),
        ("the 2nd", None),
        ("x2", None),
        ("twenty-one", None),
        ("three hundred and twenty-one", None),
        ("one of them", None),
        ("三十", None),
        ("no number", None),
        ("", None),
    ],
)
def test_numbers(text: str, value: float | None) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("3.0-7.5", (3.0, 7.5)),
        ("3.1 - 7.4", (3.1, 7.4)),
        ("from 3.0 to 7.5 seconds", (3.0, 7.5)),
        ("between 5 and 7 s", (5.0, 7.0)),
        ("[3.1, 7.4]", (3.1, 7.4)),
        ("7.5 to 3", (3.0, 7.5)),
        ("12.5\u201318.0", (12.5, 18.0)),
        ("0:05 to 1:12", (5.0, 72.0)),
        ("1:00:18 and ends at 1:00:23.5", (3618.0, 3623.5)),
        ("The 2 of them meet at 3.0 s to 7.5 s", (3.0, 7.5)),
        ("30-75", (30.0, 75.0)),
        ("3, 5, 7", None),
        ("3-5 or 6-8", None),
        ("3,1 - 7,4", None),
        ("1 to 2 minutes", None),
        ("3 s", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_intervals(text: str, interval: tuple[float, float] | None) -> None:
    assert read_interval(text) == interval


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("red one", "red one"),
        ("The correct answer is: red one", "red one"),
        ("it moved ; so scarlet", "scarlet"),
        ("I think he is so tired", "he is so tired"),
        ("I think it is a red car.", "red car"),
        ("So a dog runs", "dog runs"),
        ("答案是红色。", "红 色"),
    ],
)
def test_a_free_text_can_be_read_without_what_announces_it(text: str, reading: str) -> None:
    assert tuple(reading.split()) in read_text(text)


def test_a_free_text_is_not_read_in_part() -> None:
    assert read_text("he is not so tired") == [
        ("he", "is", "not", "so", "tired"),
        ("not", "so", "tired"),
    ]
    assert ("red",) not in read_text("not red")
    assert read_text("...") == read_text("") == read_text("<think>red") == []


@given(st.text())
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in (read_yes_no, read_number, read_interval, read_text):
        read(text)
