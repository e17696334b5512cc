"""A model's conversation: the text that its chat template writes around video, question, answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from videolatent_cli.errors import SetupError

if TYPE_CHECKING:
    from videolatent_cli.model.backbones.base import Backbone

_QUESTION, _ANSWER = "\x00", "\x01"
"""Characters that no template contains; they mark the places of question and answer."""


@dataclass(frozen=True)
class Slot:
    """Text around a place that a user's text fills.

    A tokenizer never joins a special token with its neighbours, but it may join everything between
    two of them. So the text between the nearest two special tokens is encoded in one piece.
    """

    head: str
    """Text up to the end of the last special token before the place."""
    lead: str
    """Text between that token and the place."""
    trail: str
    """Text between the place and the first special token after it."""
    tail: str
    """Text from that token on."""

    @classmethod
    def between(cls, before: str, after: str, special: re.Pattern[str]) -> Slot:
        """Return the slot between two texts.

        Args:
            before: Text before the place.
            after: Text after the place.
            special: Pattern that matches every special token.
        """
        cut = max((match.end() for match in special.finditer(before)), default=0)
        first = special.search(after)
        start = first.start() if first else len(after)
        return cls(before[:cut], before[cut:], after[:start], after[start:])


@dataclass(frozen=True)
class Conversation:
    """Text of a model's conversation, with one video, one question and one answer."""

    before_video: str
    """Text before the video."""
    question: Slot
    """Text between the video and the answer, around the question."""
    text: Slot
    """Text around a prompt without a video."""
    before_answer: str
    """Text between the prompt and the answer: a space for SmolVLM, nothing for most families."""


def special_pattern(tokenizer: Any) -> re.Pattern[str]:  # noqa: ANN401 - no useful type
    """Return the pattern that matches all special tokens of a tokenizer, longer ones first."""
    tokens = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tokens)) or r"(?!)")


def read_conversation(backbone: Backbone) -> Conversation:
    """Return the conversation that a backbone's chat template writes.

    Raises:
        SetupError: If the template fails, or does not write the video and the question once.
    """
    user = _message("user", {"type": "video"}, {"type": "text", "text": _QUESTION})
    answer = _message("assistant", {"type": "text", "text": _ANSWER})
    write = backbone.tokenizer.apply_chat_template
    try:
        prompt: str = write([user], tokenize=False, add_generation_prompt=True)
        finished: str = write([user, answer], tokenize=False)
    except (TemplateError, TypeError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0]
        raise _unusable(backbone, f"cannot write a question about a video ({reason})") from None
    before, found, rest = prompt.partition(backbone.placeholder)
    after_video, asked, after = rest.partition(_QUESTION)
    if not (found and asked) or backbone.placeholder in rest or _QUESTION in before + after:
        raise _unusable(
            backbone,
            f"must write one {backbone.placeholder} and then the question, got "
            f"{prompt.replace(_QUESTION, 'QUESTION')!r}",
        )
    special = special_pattern(backbone.tokenizer)
    # A family whose assistant turns do not begin as its prompts end has nothing in between.
    written = finished.removeprefix(prompt) if finished.startswith(prompt) else ""
    return Conversation(
        before_video=before,
        question=Slot.between(backbone.after_video + after_video, after, special),
        text=Slot.between(before + after_video, after, special),
        before_answer=written.partition(_ANSWER)[0],
    )


def _message(role: str, *parts: dict[str, str]) -> dict[str, Any]:
    """Return one message of a conversation."""
    return {"role": role, "content": list(parts)}


def _unusable(backbone: Backbone, problem: str) -> SetupError:
    """Return the error for a chat template that cannot be used."""
    return SetupError(
        f"backbone.model: the chat template of '{backbone.name}' {problem}; "
        "put the chat_template.jinja of an instruction-tuned model of this family into its folder"
    )
