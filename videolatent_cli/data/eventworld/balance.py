"""Balance of questions: no answer can be guessed from its frequency."""

from collections import Counter
from collections.abc import Iterable

from videolatent_cli.data.eventworld.questions import (
    ANSWERS,
    WorldQuestion,
    all_questions,
    descriptions,
)
from videolatent_cli.data.eventworld.world import ROOT_SEED, SPLITS, Draw, World


class Balance:
    """Filter of questions that keeps the answers of each family about equally frequent.

    Choice: a question is accepted while the count of its answer exceeds that of the family's rarest
    answer by at most `SLACK`. This works on a stream, without knowing the number of videos.
    """

    SLACK = 2

    def __init__(self, families: Iterable[str]) -> None:
        self.families = frozenset(families)
        self._accepted: Counter[tuple[str, str]] = Counter()  # by family and answer

    def accept(self, question: WorldQuestion) -> bool:
        """Count the question and return True, or return False if it would upset the balance."""
        family = question.family
        if family not in self.families:
            return False
        rarest = min(self._accepted[family, answer] for answer in ANSWERS[family])
        if self._accepted[family, question.answer] > rarest + self.SLACK:
            return False
        self._accepted[family, question.answer] += 1
        return True

    def pick(self, world: World, limit: int) -> list[WorldQuestion]:
        """Return at most `limit` accepted questions of a world.

        Descriptions come first if their families are selected. The other families take turns in
        random order, one question each.
        """
        draw = Draw(ROOT_SEED, SPLITS[world.split].stream, world.index, 2)
        picked = [q for q in descriptions(world) if q.family in self.families][:limit]
        by_family: dict[str, list[WorldQuestion]] = {}
        for question in draw.shuffled(all_questions(world)):
            by_family.setdefault(question.family, []).append(question)
        turns = draw.shuffled(sorted(by_family))
        while turns and len(picked) < limit:
            turns = [family for family in turns if by_family[family]]
            for family in turns:
                question = by_family[family].pop()
                if len(picked) < limit and self.accept(question):
                    picked.append(question)
        return picked
