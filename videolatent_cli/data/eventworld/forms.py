"""Answers of other forms than the bare one, on request: what a pretrained chat model has met."""

from videolatent_cli.data.eventworld.world import Draw
from videolatent_cli.data.triplets import Triplet

LONGEST_WAIT = 12
"""Most full stops before an answer that was asked to wait."""


def in_another_form(triplet: Triplet, draw: Draw) -> Triplet:
    """Return a triplet that asks for a sentence, for the reasoning first, or for a wait.

    Choice: a backbone pretrained on bare answers alone learns that its turn ends after the first
    word, whatever that is; markers and latents before the answer then disturb it.
    """
    form = draw.below(3)
    if form == 0:
        how, answer = "Say it in a sentence.", f"The correct answer is: {triplet.answer}"
    elif form == 1:
        how, answer = "Think first.", str(triplet.meta["trace_short"])
    else:
        how, answer = "Wait first.", ". " * (1 + draw.below(LONGEST_WAIT)) + triplet.answer
    return triplet.model_copy(update={"question": f"{triplet.question} {how}", "answer": answer})
