"""Questions and their answers, by hand; held-out programs."""

from collections import Counter

from videolatent_cli.data.eventworld import (
    DESCRIPTIONS,
    FAMILIES_3_HOPS_AND_MORE,
    HOPS,
    all_questions,
    descriptions,
    make_world,
)
from videolatent_cli.data.eventworld.questions import ANSWERS, is_held_out_program


def test_answers_are_the_programs_results_by_hand() -> None:
    # events of train/0: red circle up, yellow triangle down, cyan square up, red circle covered
    found = {q.text: q.answer for q in all_questions(make_world("train", 0))}
    assert found["Which color moved first?"] == "red"
    assert found["Which color moved last?"] == "cyan"
    assert found["Where did the yellow triangle go?"] == "down"
    assert found["How many different objects moved?"] == "3"
    assert found["Which color was covered?"] == "red"
    assert found["How many objects are there at the end?"] == "2"
    assert found["Did the cyan square move before the red circle?"] == "no"
    assert found["Which shape moved right after the yellow triangle moved?"] == "square"
    assert found["Which color moved right before the cyan square moved?"] == "yellow"
    chain = "Where did the object go that moved right after the object that moved right after the red circle moved?"
    assert found[chain] == "up"
    texts = {q.family: q.answer for q in descriptions(make_world("train", 0))}
    assert texts["describe_events"].startswith("red circle move up ; yellow triangle move down")
    assert texts["describe_end"] == "cyan square middle left ; yellow triangle bottom right"


def test_every_family_occurs_and_has_hops() -> None:
    seen = Counter(q.family for i in range(300) for q in all_questions(make_world("train", i)))
    assert seen.keys() == ANSWERS.keys()
    assert HOPS.keys() == ANSWERS.keys() | set(DESCRIPTIONS)
    assert all(HOPS[family] >= 3 for family in FAMILIES_3_HOPS_AND_MORE)


def test_held_out_programs_are_6_and_only_in_their_split() -> None:
    from videolatent_cli.data.eventworld.questions import ANCHORS, QUERIES, RELATIONS

    held = {
        f"{q}({r}({a}))"
        for a in ANCHORS
        for r in RELATIONS
        for q in QUERIES
        if is_held_out_program(a, r, q)
    }
    assert len(held) == 6
    train = {q.program for i in range(400) for q in all_questions(make_world("train", i))}
    test = {q.program for i in range(400) for q in all_questions(make_world("test_program", i))}
    assert not train & held
    assert test == held


def test_pair_split_asks_about_held_out_pairs() -> None:
    for index in range(60):
        world = make_world("test_pair", index)
        for question in all_questions(world):
            assert any(world.objects[i].held_out for i in question.about)
