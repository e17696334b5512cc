"""Verdicts on answers that people met: wrong ones that were right, right ones that were not read."""

import pytest

from videolatent_cli.data.triplets import Triplet
from videolatent_cli.errors import DataError
from videolatent_cli.evaluation.scorers import (
    check_right_answers,
    is_strictly_right,
    judge,
    overlap,
)

SECONDS = ["1.5 seconds", "15 seconds"]
WRONG: list[tuple[str, list[str] | None, str]] = [
    ("1.5 seconds", SECONDS, "15 seconds"),
    ("1.5 seconds", SECONDS, "B"),
    ("2:30", ["2:30", "23:0"], "B"),
    ("$1.20", ["$1.20", "$120"], "(B)"),
    ("-5", ["5", "-5"], "5"),
    ("-5", ["5", "-5"], "A"),
    ("-3", ["-3", "3"], "3"),
    ("+5", ["+5", "-5"], "B"),
    ("x > y", ["x > y", "x < y"], "B"),
    ("1/2", ["1/2", "12"], "B"),
    ("10%", ["10%", "10"], "10"),
    ("C++", ["C", "C++", "C#"], "C#"),
    ("A -> B", ["A -> B", "A <- B"], "B"),
    ("a", ["a", "the"], "B"),
    ("A", ["B", "A"], "B"),
    ("dog", ["dog", "cat"], "(A) or (B)"),
    ("dog", ["dog", "cat"], "A. or B."),
    ("dog", ["dog", "cat"], "A: no. B: yes."),
    ("a blue square", ["a red circle", "a blue square"], "B. a red circle"),
    ("1:30", None, "13:0"),
    ("1.5 m", None, "15 m"),
    ("-5 C", None, "5 C"),
    ("-5 degrees", None, "5 degrees"),
    ("3.5 m", None, "35 m"),
    ("C++", None, "C#"),
    ("C++", None, "C"),
    ("10-12", None, "1012"),
    ("10:30", None, "1030"),
    ("-3", None, "3"),
    ("A", None, ""),
    ("A", None, "the"),
    ("A", None, "..."),
    ("A", None, "B"),
    ("A, C", None, "C"),
    ("tired", None, "he is not so tired"),
    ("red", None, "not red"),
]
"""Right answer, options, and an answer that is wrong or says nothing."""
RIGHT: list[tuple[str, list[str] | None, str]] = [
    ("A", None, "A"),
    ("A", None, "(A)"),
    ("A", None, "A. cat"),
    ("B", None, "The answer is B."),
    ("A, C", None, "A,C"),
    ("3", None, "There are 3 objects: 1 red and 2 blue"),
    ("3.14", None, "3.1400"),
    ("yes", None, "Yes. No doubt."),
    ("café", None, "cafe\u0301"),
    ("红色。", None, "红色"),
    ("مرحبا", None, "مرحبا،"),
    ("3 m", None, "3m"),
    ("50%", None, "50 percent"),
    ("he is so tired", None, "I think he is so tired"),
    ("a red car", ["a blue car", "a red car", "so fast"], "<answer>B</answer>"),
    ("so fast", ["a blue car", "a red car", "so fast"], "so fast"),
]


@pytest.mark.parametrize(("right", "options", "answer"), WRONG)
def test_wrong_answers_are_not_right(right: str, options: list[str] | None, answer: str) -> None:
    triplet = Triplet(video="a", question="q", answer=right, options=options)
    assert judge(triplet, answer) != "right"
    assert not is_strictly_right(triplet, answer)


@pytest.mark.parametrize(("right", "options", "answer"), RIGHT)
def test_right_answers_are_read(right: str, options: list[str] | None, answer: str) -> None:
    triplet = Triplet(video="a", question="q", answer=right, options=options)
    assert judge(triplet, answer) == "right"
    assert judge(triplet, right) == "right"
    assert is_strictly_right(triplet, right)


@pytest.mark.parametrize(
    ("answer_type", "right", "options", "answer", "verdict"),
    [
        ("multi_choice", "red, blue", ["red", "blue", "green"], "blue, red", "right"),
        ("multi_choice", "red, blue", ["red", "blue", "green"], "A, B", "right"),
        ("multi_choice", "A, B", ["red", "blue", "green"], "red and blue", "right"),
        ("multi_choice", "red, blue", ["red", "blue", "green"], "red", "wrong"),
        ("multi_choice", "red, blue", ["red", "blue", "green"], "A, B, C", "wrong"),
        ("multi_choice", "red, blue", ["red", "blue", "green"], "all of them", "unparsed"),
        ("multi_choice", "A, C", None, "C and A", "right"),
        ("interval", "3.0-7.5", None, "from 3.0 to 7.5 seconds", "right"),
        ("interval", "3.0-7.5", None, "3.1 - 7.4", "right"),
        ("interval", "3.0-7.5", None, "30-75", "wrong"),
        ("interval", "0-10", None, "0-5", "right"),  # an overlap of exactly one half
        ("interval", "0-10", None, "0-4.9", "wrong"),
        ("interval", "3.0-7.5", None, "at 5 s", "unparsed"),
        ("order", "red blue", None, "red, then blue", "right"),
        ("order", "red, blue", ["blue", "red"], "B, A", "right"),
        ("order", "red blue", None, "blue, then red", "wrong"),
        ("order", "red blue", None, "red, green, blue", "wrong"),
        ("order", "red blue", None, "red", "unparsed"),
        ("number", "1,200", None, "1200 units", "right"),
        ("yesno", "True", None, "yes", "right"),
    ],
)
def test_answer_types(
    answer_type: str, right: str, options: list[str] | None, answer: str, verdict: str
) -> None:
    triplet = Triplet.model_validate(
        {
            "video": "a",
            "question": "q",
            "answer": right,
            "options": options,
            "answer_type": answer_type,
        }
    )
    assert judge(triplet, answer) == verdict
    assert judge(triplet, right) == "right"


def test_one_of_several_right_answers_is_enough() -> None:
    triplet = Triplet(video="a", question="q", answer="red", answers=["scarlet"])
    assert judge(triplet, "scarlet") == judge(triplet, "red") == "right"
    assert judge(triplet, "red or scarlet") == "wrong"


def test_right_answers_that_nobody_could_give_are_listed() -> None:
    good = Triplet(id="a", video="a", question="q", answer="3-4", answer_type="interval")
    check_right_answers([good])
    bad = [
        Triplet(id="t:1", video="a", question="q", answer="soon", answer_type="interval"),
        Triplet(id="t:2", video="a", question="q", answer="many", answer_type="number"),
        Triplet(id="t:3", video="a", question="q", answer="..."),
    ]
    with pytest.raises(DataError) as raised:
        check_right_answers([good, *bad])
    assert str(raised.value).splitlines() == [
        "t:1: answer: cannot be read as interval, got 'soon'; fix it, or answer_type",
        "t:2: answer: cannot be read as number, got 'many'; fix it, or answer_type",
        "t:3: answer: cannot be read as text, got '...'; fix it, or answer_type",
    ]
    with pytest.raises(DataError, match=r"\n\.\.\. and 5 more right answers that cannot be read$"):
        check_right_answers(bad[:1] * 25)


def test_the_overlap_of_intervals() -> None:
    assert overlap((0, 10), (5, 15)) == pytest.approx(1 / 3)
    assert overlap((0, 1), (2, 3)) == overlap((1, 1), (1, 1)) == 0
