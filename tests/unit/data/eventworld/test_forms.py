"""Other forms of questions."""

from videolatent_cli.data.eventworld.forms import LONGEST_WAIT
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.model.batch import HINT


def test_other_forms_end_in_the_answer() -> None:
    plain = eventworld_triplets("train", range(80), ["1-2 hops"], 4)
    varied = eventworld_triplets("train", range(80), ["1-2 hops"], 4, forms_fraction=0.5)
    before = [t for _, found in plain for t in found]
    after = [t for _, found in varied for t in found]
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert 0.4 < len(changed) / len(before) < 0.6
    hows = set()
    for bare, asked in changed:
        how = asked.question.removeprefix(bare.question).strip()
        hows.add(how)
        assert asked.answer.split()[-1] == bare.answer
        if how == "Wait first.":
            assert 1 <= asked.answer.count(".") <= LONGEST_WAIT
        elif how == "Say it in a sentence.":
            assert asked.answer == HINT.format(answer=bare.answer)
    assert hows == {"Say it in a sentence.", "Think first.", "Wait first."}
