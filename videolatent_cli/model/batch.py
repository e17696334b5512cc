"""From questions and answers as text to the padded tensors of one micro batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from videolatent_cli.model.backbones.features import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.video.frames import FrameBatch

HINT = "The correct answer is: {answer}"
"""What the hindsight teacher is told. Choice: the answer's text, never its letter."""


@dataclass(frozen=True)
class Example:
    """One triplet as the model sees it."""

    question: str
    """The whole user turn after the video."""
    answer: str
    name: str = ""
    """What errors call it."""


@dataclass(frozen=True)
class Padded:
    """Token ids with padding on one side."""

    ids: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]

    def to(self, device: torch.device) -> Padded:
        """Return the same on a device."""
        return Padded(self.ids.to(device), self.mask.to(device))


@dataclass(frozen=True)
class Batch:
    """Triplets that share the visual prefixes of a few videos."""

    video_prompt: Padded
    """The prompt up to and with the visual placeholders, one row a video, padded left."""
    videos: tuple[VideoFeatures, ...] | tuple[FrameBatch, ...]
    """Features, or frames where the vision tower learns too; one a row of `head`."""
    video_index: Int[Tensor, " batch"]
    """Row of `head` that each triplet belongs to."""
    question: Padded
    """The rest of the prompt, padded left."""
    teacher_hint: Padded
    """What the teacher is told, padded left."""
    answer: Padded
    """Answer and end of turn, padded right."""
    names: tuple[str, ...] = ()
    """What errors call each triplet."""

    @property
    def num_tokens(self) -> int:
        """Positions that are run once for plain fine-tuning, padding not counted."""
        return sum(int(part.mask.sum()) for part in (self.video_prompt, self.question, self.answer))

    def tokens_by_triplet(self) -> list[int]:
        """Return the positions of each triplet, its video's included."""
        heads = self.video_prompt.mask.sum(1)[self.video_index]
        total: list[int] = (heads + self.question.mask.sum(1) + self.answer.mask.sum(1)).tolist()
        return total

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; features follow where they are used."""
        return replace(
            self,
            video_prompt=self.video_prompt.to(device),
            video_index=self.video_index.to(device),
            question=self.question.to(device),
            teacher_hint=self.teacher_hint.to(device),
            answer=self.answer.to(device),
        )


def pad(rows: list[list[int]], side: str) -> Padded:
    """Return token lists as one tensor; padding has id 0 and is masked."""
    length = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for index, row in enumerate(rows):
        place = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        ids[index, place] = torch.tensor(row, dtype=torch.long)
        mask[index, place] = True
    return Padded(ids, mask)


class Prompter:
    """Cuts a model's chat template around the video and turns the parts into tokens."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._tokenizer = backbone.tokenizer
        mark = "\x00"
        text = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": mark}]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        self._head, self._tail = text.split(mark)
        self.end_of_turn = int(self._tokenizer.eos_token_id)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of texts as they stand, no special token added; many at once is faster."""
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=False).input_ids
        return ids

    def heads(self, videos: Sequence[Layout]) -> list[list[int]]:
        """Return each prompt up to the question, with one placeholder a visual token."""
        marks = map(self._backbone.video_text, videos)
        return self._tokens([self._head.replace(self._backbone.placeholder, m) for m in marks])

    def questions(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each question and the start of the assistant's turn."""
        return self._tokens([text + self._tail for text in texts])

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text as a whole prompt, without a video."""
        head = self._head.replace(self._backbone.placeholder, "")
        return self._tokens([head + text + self._tail for text in texts])

    def answers(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each answer and the end of the turn."""
        return [[*ids, self.end_of_turn] for ids in self._tokens(list(texts))]

    def hints(self, answers: Sequence[str]) -> list[list[int]]:
        """Return what the hindsight teacher is told of each answer."""
        return self._tokens([HINT.format(answer=answer) for answer in answers])

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that the model has no token for."""
        unknown = self._tokenizer.unk_token_id
        if unknown is None:
            return []
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded.input_ids, encoded.offset_mapping, strict=True)
        return [text[start:end] for token, (start, end) in pairs if token == unknown]

    def decode(self, ids: list[int]) -> str:
        """Return the text of an answer."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def token_text(self, token: int) -> str:
        """Return one token as text, special tokens by their names."""
        text: str = self._tokenizer.decode([token])
        return text.strip() or repr(text)

    def collate(
        self,
        videos: list[VideoFeatures] | list[FrameBatch],
        examples: list[list[Example]],
    ) -> Batch:
        """Return the batch of several videos, each with its examples."""
        layout_of = self._backbone.layout_of
        layouts = [video if isinstance(video, Layout) else layout_of(video) for video in videos]
        flat = [example for group in examples for example in group]
        answers = [example.answer for example in flat]
        index = [row for row, group in enumerate(examples) for _ in group]
        return Batch(
            video_prompt=pad(self.heads(layouts), "left"),
            videos=tuple(videos),  # type: ignore[arg-type] # one kind or the other, never mixed
            video_index=torch.tensor(index),
            question=pad(self.questions([example.question for example in flat]), "left"),
            teacher_hint=pad(self.hints(answers), "left"),
            answer=pad(self.answers(answers), "right"),
            names=tuple(example.name for example in flat),
        )
