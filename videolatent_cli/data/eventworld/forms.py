"""Questions that ask for more than the bare answer, as pretrained chat models know them."""

from videolatent_cli.data.eventworld.world import Draw
from videolatent_cli.data.triplets import Triplet

LONGEST_WAIT = 12
"""Maximum number of full stops before the answer to `Wait first.`."""


def in_another_form(triplet: Triplet, draw: Draw) -> Triplet:
    """Return a triplet that asks for a sentence, for the reasoning first, or for a wait.

    Choice: a backbone pretrained on bare answers alone learns that every turn ends after the first
    word. Markers and latents before the answer then disturb it.
    """
    form = draw.below(3)
    if form == 0:
        request, answer = "Say it in a sentence.", f"The correct answer is: {triplet.answer}"
    elif form == 1:
        request, answer = "Think first.", str(triplet.meta["trace_short"])
    else:
        request, answer = "Wait first.", ". " * (1 + draw.below(LONGEST_WAIT)) + triplet.answer
    return triplet.model_copy(
        update={"question": f"{triplet.question} {request}", "answer": answer}
    )
