"""Verdicts on answers."""

from videolatent_cli.data.triplets import Triplet
from videolatent_cli.evaluation.scorers import is_strictly_right, judge


def test_verdicts() -> None:
    text = Triplet(video="a", question="q", answer="The red one.", answers=["scarlet"])
    for answer in ("red one", "Scarlet", "The correct answer is: red one", "it moved ; so scarlet"):
        assert judge(text, answer) == "right", answer
    assert is_strictly_right(text, "red one")
    assert not is_strictly_right(text, "it is so scarlet")
    assert judge(text, "blue one") == "wrong"
    assert judge(text, "") == "unparsed"

    number = Triplet(video="a", question="q", answer="3")
    assert [judge(number, said) for said in ("3", "so 3", "3.0", "there are 3 of them")] == [
        "right"
    ] * 4
    assert [judge(number, said) for said in ("4", "-3")] == ["wrong"] * 2
    assert [judge(number, said) for said in ("many", "3 or 4")] == ["unparsed"] * 2

    yes = Triplet(video="a", question="q", answer="yes")
    assert judge(yes, "Yes, it did.") == "right"
    assert judge(yes, "no") == "wrong"
    assert judge(yes, "yes and no") == judge(yes, "red") == "unparsed"

    options = ["red circle", "a red circle at the top", "blue"]
    choice = Triplet(video="a", question="q", answer="red circle", options=options)
    for answer in ("A", "(A)", "a) red circle", "the red circle, I think"):
        assert judge(choice, answer) == "right", answer
    assert judge(choice, "(C)") == judge(choice, "it is blue") == "wrong"
    assert judge(choice, "red circle at the top") == "wrong"
    assert judge(choice, "(Z)") == judge(choice, "blue or red circle") == "unparsed"
