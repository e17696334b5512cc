"""Questions about many videos at once: "which videos ...", "in how many videos ..."."""

import re
from dataclasses import dataclass
from typing import Literal

_ASKED = re.compile(
    r"\s*(in\s+)?(which|how\s+many)\s+(?:video|clip|file|recording)(s?)\s+(.+?)[\s?.]*",
    re.IGNORECASE,
)
_AUXILIARY = re.compile(r"(did|do|does|is|are|was|were|has|have|had|can)\s", re.IGNORECASE)


@dataclass(frozen=True)
class CrossQuestion:
    """A question that is answered by asking each video the same."""

    kind: Literal["which", "count"]
    each: str
    """Asked of every video; its answer is yes or no."""


def cross_question(text: str) -> CrossQuestion | None:
    """Return a question about many videos as one for each, None for any other question.

    "In which videos did the red square move?" asks each "Did the red square move?", and "How many
    videos show a dog?" asks "Does the video show a dog?".
    """
    found = _ASKED.fullmatch(text)
    if found is None:
        return None
    inside, which, plural, rest = found.groups()
    kind: Literal["which", "count"] = "which" if which.lower() == "which" else "count"
    if inside and _AUXILIARY.match(rest):
        return CrossQuestion(kind, f"{rest[0].upper()}{rest[1:]}?")
    verb, _, what = rest.partition(" ")
    if not plural:
        verb = "have" if verb == "has" else verb.removesuffix("s")
    return CrossQuestion(kind, f"Does the video {verb} {what}?")
