"""Answers are balanced in every family."""

from collections import Counter

from videolatent_cli.data.eventworld import Balance, make_world
from videolatent_cli.data.eventworld.questions import ANSWERS


def test_balance_holds_in_every_family() -> None:
    balance = Balance(ANSWERS)
    seen: dict[str, Counter[str]] = {family: Counter() for family in ANSWERS}
    for index in range(600):
        for question in balance.pick(make_world("train", index), 8):
            seen[question.family][question.answer] += 1
    for family, counts in seen.items():
        total = sum(counts.values())
        assert total > 20, family
        assert max(counts.values()) / total <= 1 / len(ANSWERS[family]) + 0.03, family


def test_pick_respects_limit_and_families() -> None:
    world = make_world("train", 3)
    picked = Balance(["direction", "describe_events"]).pick(world, 2)
    assert picked[0].family == "describe_events"
    assert {q.family for q in picked} <= {"direction", "describe_events"}
    assert len(Balance(ANSWERS).pick(world, 5)) == 5
