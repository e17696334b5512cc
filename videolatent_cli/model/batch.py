"""Micro batches: questions and answers as padded token tensors, with their videos."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.chat import read_conversation, special_pattern
from videolatent_cli.model.backbones.features import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.video.frames import FrameBatch

HINT = "The correct answer is: {answer}"
"""Text that only the hindsight teacher reads. Choice: the answer's text, never its letter."""


@dataclass(frozen=True)
class Example:
    """Text of one triplet, as the model reads it."""

    question: str
    """Complete user turn after the video."""
    answer: str
    name: str = ""
    """Name of the triplet in error messages."""


@dataclass(frozen=True)
class Padded:
    """Token ids of several texts, padded on one side to equal length."""

    ids: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]
    """False at padding."""

    def to(self, device: torch.device) -> Padded:
        """Return a copy on a device."""
        return Padded(self.ids.to(device), self.mask.to(device))


@dataclass(frozen=True)
class Batch:
    """Triplets of one micro batch; triplets of the same video share its prefix."""

    video_prompt: Padded
    """Prompt from its start through the visual placeholders, one row per video, padded left."""
    videos: tuple[VideoFeatures, ...] | tuple[FrameBatch, ...]
    """One entry per row of `video_prompt`: features, or frames if the vision tower is trained."""
    video_index: Int[Tensor, " batch"]
    """Row of `video_prompt` for each triplet."""
    question: Padded
    """Rest of the prompt, padded left."""
    teacher_hint: Padded
    """Hint that only the hindsight teacher reads, padded left."""
    answer: Padded
    """Answer and end of turn, padded right."""
    names: tuple[str, ...] = ()
    """Names of the triplets in error messages."""

    @property
    def num_tokens(self) -> int:
        """Number of tokens of video prompts, questions and answers, without padding.

        A video prompt counts once, however many triplets share it.
        """
        return sum(int(part.mask.sum()) for part in (self.video_prompt, self.question, self.answer))

    def tokens_by_triplet(self) -> list[int]:
        """Return the number of tokens of each triplet, its video prompt included."""
        prompt_lengths = self.video_prompt.mask.sum(1)[self.video_index]
        lengths = prompt_lengths + self.question.mask.sum(1) + self.answer.mask.sum(1)
        total: list[int] = lengths.tolist()
        return total

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; `videos` stay where they are until they are used."""
        return replace(
            self,
            video_prompt=self.video_prompt.to(device),
            video_index=self.video_index.to(device),
            question=self.question.to(device),
            teacher_hint=self.teacher_hint.to(device),
            answer=self.answer.to(device),
        )


def pad(rows: list[list[int]], side: str) -> Padded:
    """Return token lists as one tensor, padded with id 0 on `side` (`left` or `right`)."""
    length = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for index, row in enumerate(rows):
        columns = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        ids[index, columns] = torch.tensor(row, dtype=torch.long)
        mask[index, columns] = True
    return Padded(ids, mask)


class Prompter:
    """Tokenizer of prompts: splits a model's conversation at the question and encodes the parts.

    The part before the question depends on the video alone, so that the questions of one video
    share its prefill. Joined, the parts are the ids of the whole conversation.

    Choice: texts of users are text. A special token that somebody types is encoded letter by
    letter, and can neither end a turn nor stand for a video.

    Raises:
        SetupError: If the model's chat template does not write the video and the question once.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._tokenizer = backbone.tokenizer
        self._special = special_pattern(backbone.tokenizer)
        self._conversation = read_conversation(backbone)
        self.end_of_turn = int(self._tokenizer.eos_token_id)

    @cached_property
    def _literal_tokenizer(self) -> Any:  # noqa: ANN401 - transformers' tokenizers share no type
        """Copy of the tokenizer that knows no special tokens.

        A copy, since threads that prepare batches share the tokenizer.
        """
        tokenizer = deepcopy(self._tokenizer)
        tokenizer.split_special_tokens = True
        return tokenizer

    def _tokenizer_of(self, texts: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the tokenizer for texts of users: special tokens in them are text."""
        typed = any(self._special.search(text) for text in texts)
        return self._literal_tokenizer if typed else self._tokenizer

    def _user_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts of users; one call for many is faster than many calls."""
        ids: list[list[int]] = self._tokenizer_of(texts)(
            list(texts), add_special_tokens=False
        ).input_ids
        return ids

    def _template_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts of the chat template, in which special tokens count."""
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False).input_ids
        return ids

    def video_prompts(self, videos: Sequence[Layout]) -> list[list[int]]:
        """Return the prompt of each video, one placeholder token per visual token.

        Raises:
            SetupError: If the prompt has another number of visual tokens than the video.
        """
        backbone, parts = self._backbone, self._conversation
        texts = [
            parts.before_video + backbone.video_text(video) + parts.question.head
            for video in videos
        ]
        prompts = self._template_ids(texts)
        for ids, video in zip(prompts, videos, strict=True):
            count = ids.count(backbone.visual_token_id)
            wanted = backbone.num_visual_tokens(video.grid)
            if count != wanted:
                raise SetupError(
                    f"backbone.model: the tokenizer of '{backbone.name}' must write {wanted} "
                    f"visual tokens of id {backbone.visual_token_id} for a video of grid "
                    f"{video.grid}, got {count}; take config and tokenizer from one release"
                )
        return prompts

    def questions(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the rest of the prompt: each question, up to the start of the answer."""
        slot = self._conversation.question
        (end,) = self._template_ids([slot.tail])
        inner = self._user_ids([slot.lead + text + slot.trail for text in texts])
        return [ids + end for ids in inner]

    def text_prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text as a complete prompt without a video."""
        slot = self._conversation.text
        start, end = self._template_ids([slot.head, slot.tail])
        inner = self._user_ids([slot.lead + text + slot.trail for text in texts])
        return [start + ids + end for ids in inner]

    def answers(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each answer, followed by the end of the turn."""
        before = self._conversation.before_answer
        inner = self._user_ids([before + text for text in texts])
        return [[*ids, self.end_of_turn] for ids in inner]

    def hints(self, answers: Sequence[str]) -> list[list[int]]:
        """Return the hindsight teacher's hint for each answer."""
        return self._user_ids([HINT.format(answer=answer) for answer in answers])

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that the tokenizer maps to its unknown token."""
        unknown = self._tokenizer.unk_token_id
        if unknown is None:
            return []
        tokenizer = self._tokenizer_of([text])
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded.input_ids, encoded.offset_mapping, strict=True)
        return [text[start:end] for token, (start, end) in pairs if token == unknown]

    def decode(self, ids: list[int]) -> str:
        """Return the text of an answer, without special tokens."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def token_text(self, token: int) -> str:
        """Return the text of one token; a special token gives its name."""
        text: str = self._tokenizer.decode([token])
        return text.strip() or repr(text)

    def collate(
        self,
        videos: list[VideoFeatures] | list[FrameBatch],
        examples: list[list[Example]],
    ) -> Batch:
        """Return the batch of several videos, with a list of examples per video."""
        layout_of = self._backbone.layout_of
        layouts = [video if isinstance(video, Layout) else layout_of(video) for video in videos]
        flat = [example for group in examples for example in group]
        answers = [example.answer for example in flat]
        index = [row for row, group in enumerate(examples) for _ in group]
        return Batch(
            video_prompt=pad(self.video_prompts(layouts), "left"),
            videos=tuple(videos),  # type: ignore[arg-type] # all features or all frames
            video_index=torch.tensor(index),
            question=pad(self.questions([example.question for example in flat]), "left"),
            teacher_hint=pad(self.hints(answers), "left"),
            answer=pad(self.answers(answers), "right"),
            names=tuple(example.name for example in flat),
        )
