"""Our parsers beside those of public benchmarks: equal, but where the original guesses."""

import json
from pathlib import Path
from typing import Any

import pytest

from videolatent_cli.data.triplets import Triplet
from videolatent_cli.evaluation.parse_answer import read_interval, read_number
from videolatent_cli.evaluation.parse_options import read_option
from videolatent_cli.evaluation.scorers import judge, overlap

GOLDEN: dict[str, Any] = json.loads(
    Path(__file__).with_name("public_scorers.json").read_text(encoding="utf-8")
)
CHOICE_BESIDES = {
    "<think>A or C? A is wrong.</think><answer>C</answer>": "C",  # the original: the first letter
    "Because the object moved left first, it is not A, it is D.": "D",
    "A cat is sitting on a mat": None,  # an article
    "Both A and B": None,
    "(A) and (D)": None,
    "A\nB": None,
    "E": None,  # not an option
    "b": "B",
    "d)": "D",
    "a red cube": "C",
    "It is a red cube on the left of the table": "C",
}
"""Answers that we read in another way than VLMEvalKit's second parser for Video-MME."""
NUMBER_BESIDES = {
    "three": 3.0,
    "There are 3 boxes": 3.0,
    "about 4.5 meters": 4.5,
    "A. 4": 4.0,
}
"""Answers that we read and Video-R1's parser does not."""
INTERVAL_BESIDES = {
    "The event starts at 3 and ends at 9": [[3.0, 9.0]],
    "between 5 and 7 seconds": [[5.0, 7.0]],
}
"""Answers that we read and Charades-STA's parser does not."""


@pytest.mark.parametrize(("response", "letter"), GOLDEN["choice"])
def test_options(response: str, letter: str) -> None:
    wanted = CHOICE_BESIDES.get(response, letter or None)
    found = read_option(GOLDEN["options"], response)
    assert (None if found is None else "ABCD"[found]) == wanted


@pytest.mark.parametrize(("response", "number"), GOLDEN["number"])
def test_numbers(response: str, number: float | None) -> None:
    assert read_number(response) == NUMBER_BESIDES.get(response, number)


@pytest.mark.parametrize(("response", "ranges", "iou"), GOLDEN["interval"])
def test_intervals(response: str, ranges: list[list[float]], iou: float) -> None:
    wanted = INTERVAL_BESIDES.get(response, ranges)
    found = read_interval(response)
    assert ([list(found)] if found else []) == wanted
    if found and response not in INTERVAL_BESIDES:
        assert overlap(found, (5.0, 10.0)) == pytest.approx(iou)


@pytest.mark.parametrize(("a", "b", "iou"), GOLDEN["iou"])
def test_overlaps(a: tuple[float, float], b: tuple[float, float], iou: float) -> None:
    assert overlap(a, b) == pytest.approx(iou)


@pytest.mark.parametrize(("right", "response", "correct"), GOLDEN["open"])
def test_open_answers(right: str, response: str, correct: bool) -> None:
    kind = {"answer_type": "number"} if right == "1,200" else {}
    triplet = Triplet.model_validate({"video": "a", "question": "q", "answer": right, **kind})
    assert (judge(triplet, response) == "right") == correct
