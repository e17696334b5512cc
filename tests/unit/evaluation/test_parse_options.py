"""Options in usual and unusual wordings, written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videolatent_cli.evaluation.parse_options import (
    UNKNOWN_OPTIONS,
    read_option,
    read_options,
    read_order,
)

OPTIONS = ["a red circle", "a blue square", "a green cross", "nothing"]
LETTERED = ["A. Cat", "B. Dog", "C. Bird"]
CHINESE = ["红色的圆", "蓝色方块"]


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "B.",
        "b)",
        "(B)",
        "(b)",
        "[B]",
        "'B'",
        '"B"',
        "$B$",
        "{B}",
        "\uff22",
        "**B**",
        "Option B",
        "option: b)",
        "The answer is B.",
        "The answer is (B)",
        "The answer should be B",
        "The correct option is B",
        "My choice is B",
        "Answer: B",
        "**Answer:** B",
        "### Answer\nB",
        '{"answer": "B"}',
        "Therefore, the final answer is: **B**.",
        "It moved left, so B",
        "\\boxed{B}",
        "<answer>B</answer>",
        "<think>The red circle moved.</think> B",
        "<think>A looks plausible.</think>\n<answer>B</answer>",
        "B is correct",
        "B, because it moved",
        "B because the red circle moved",
        "(B) because A is wrong",
        "I think the answer is B because A is wrong",
        "I think it is B",
        "I'd go with B.",
        "Sure! B",
        "It is not A, it is B.",
        "B, not A",
        "B. a blue square",
        "B: the blue square",
        "B) Blue square.",
        "A blue square",
        "BLUE SQUARE!",
        "blue square (B)",
        "It is a blue square on the table",
        "a blue square, since the green cross stayed",
        "not the red circle, the blue square",
        "答案是B",
        "答案\uff1aB",
        "选B",
        "B\uff0c因为它移动了",
    ],
)
def test_usual_ways_to_name_an_option(text: str) -> None:
    assert read_option(OPTIONS, text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "the",
        "E",
        "(Z)",
        "A or B",
        "(A) or (B)",
        "A. or B.",
        "A: no. B: yes.",
        "A\nB",
        "Both A and B",
        "The answer is A or B",
        "B. a red circle",
        "A. blue square",
        "(a) blue square",
        "red circle or blue square",
        "blue",
        "not B",
        "I would not choose B",
        "It isn't B",
        "anything except B",
        "B is wrong",
        "B is not correct",
        "Option B isn't right",
        "It is not a blue square",
        "Plan B fails",
        "A cat is sitting on a mat",
        "The man is dancing",
        "None of the above",
        "I don't know",
        "<think>It must be B",
        "不是B",
    ],
)
def test_what_names_no_option_or_several_is_not_read(text: str) -> None:
    assert read_option(OPTIONS, text) is None


@pytest.mark.parametrize("text", ["B", "B. Dog", "Dog", "The dog", "(B)", "the answer is dog"])
def test_options_may_begin_with_their_own_letters(text: str) -> None:
    assert read_option(LETTERED, text) == 1


@pytest.mark.parametrize("text", ["红色的圆", "红色的圆。", "是红色的圆", "答案是红色的圆", "A"])
def test_options_in_scripts_without_spaces(text: str) -> None:
    assert read_option(CHINESE, text) == 0


@pytest.mark.parametrize(
    ("options", "text", "index"),
    [
        (["-3", "3"], "3", 1),
        (["3%", "3"], "3", 1),
        (["10%", "10"], "about 10%", 0),
        (["C", "C++", "C#"], "It is C++.", 1),
        (["C", "C++", "C#"], "C", None),  # a letter, and the text of another option
        (["B", "A"], "B", None),
        (["A", "B"], "B", 1),
        (["A -> B", "A <- B"], "A <- B", 1),
        (["A -> B", "A <- B"], "B", 1),
        (["a", "the"], "a", 0),
        (["a", "the"], "B", 1),
        (["red", "dark red"], "it is dark red", 1),
        (["red", "dark red"], "red", 0),
        (["dog", "Dog!"], "dog", 0),  # equal words: compared as written
        (["dog", "Dog!"], "DOG", None),
        (["dog", "Dog!"], "B", 1),
        (["so fast", "fast"], "so fast", 0),
        (["because it fell", "it rolled"], "because it fell", 0),
        (["moving", "not moving"], "not moving", 1),
        (["1", "2", "3"], "3", 2),
        (["1", "2", "3"], "(C) 3", 2),
        (["a", "b", "c"], "I think it is c", 2),
        (["yes", "no"], "Yes, there is no other", 0),
        (["No", "Yes"], "Yes. No doubt.", 1),
        (["yes", "no"], "A. no", None),
        (["yes", "no"], "yes and no", None),
        (UNKNOWN_OPTIONS, "B. the cat", 1),
        (UNKNOWN_OPTIONS, "the cat", None),
    ],
)
def test_options_that_are_alike(options: list[str], text: str, index: int | None) -> None:
    assert read_option(options, text) == index


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("red, blue", {0, 1}),
        ("blue and red", {0, 1}),
        ("red/blue", {0, 1}),
        ("A, B", {0, 1}),
        ("AB", {0, 1}),
        ("(A) and (B)", {0, 1}),
        ("A\nB", {0, 1}),
        ("A. red\nB. blue", {0, 1}),
        ("The answer is A and B because green stays", {0, 1}),
        ("red and blue, not green", {0, 1}),
        ("<answer>B,A</answer>", {0, 1}),
        ("dark red", {3}),
        ("dark red, red", {0, 3}),
        ("C", {2}),
        ("A. blue", None),
        ("A, E", None),
        ("all of them", None),
        ("", None),
    ],
)
def test_several_options(text: str, indices: set[int] | None) -> None:
    assert read_options(["red", "blue", "green", "dark red"], text) == indices


@pytest.mark.parametrize(
    ("options", "text", "order"),
    [
        (["red", "blue", "green"], "blue, then red, then green", (1, 0, 2)),
        (["red", "blue", "green"], "B -> A -> C", (1, 0, 2)),
        (["red", "blue", "green"], "B, A, C", (1, 0, 2)),
        (["red", "blue", "green"], "BAC", (1, 0, 2)),
        (["red", "blue", "green"], "1. blue 2. red 3. green", (1, 0, 2)),
        (["red", "blue", "green"], "B red", None),
        (["red", "blue", "green"], "B, E", None),
        (["red", "blue", "green"], "blue", None),
        (None, "red, then blue", ("red", "blue")),
        (None, "red blue", ("red", "blue")),
        (None, "First the red circle, then the blue square.", ("red circle", "blue square")),
        (None, "1. red circle\n2. blue square", ("red circle", "blue square")),
        (None, "The order is unclear: red", ("order", "is", "unclear", "red")),
        (None, "red", None),
        (None, "", None),
    ],
)
def test_orders(options: list[str] | None, text: str, order: tuple[int | str, ...] | None) -> None:
    assert read_order(options, text) == order


@given(st.text(), st.lists(st.text(), max_size=5))
def test_no_text_breaks_a_reader(text: str, options: list[str]) -> None:
    assert read_option(options, text) in (None, *range(len(options)))
    for found in (read_options(options, text), read_order(options, text)):
        assert found is None or set(found) <= set(range(len(options)))
    read_order(None, text)
