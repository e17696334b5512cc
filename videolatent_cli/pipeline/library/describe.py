"""Text descriptions of videos by a backbone, which make videos searchable by words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.generate import generate
from videolatent_cli.model.videolatent import VideoLatent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures

PROMPTS = ("Describe the video in two sentences.",)
"""Prompts for pretrained backbones. Choice: a request that any chat model understands."""
EMBEDDED_PROMPTS = ("List the objects.", "List the events.")
"""Prompts for the embedded backbone, which was trained to answer exactly these."""


class Describer:
    """Describes videos with a plain backbone, without latents."""

    def __init__(
        self, backbone: Backbone, prompts: tuple[str, ...], max_new_tokens: int = 64
    ) -> None:
        self._model = VideoLatent(backbone, None).eval()
        self._prompter = Prompter(backbone)
        self._prompts = prompts
        self._max_new_tokens = max_new_tokens

    def describe(self, videos: Sequence[VideoFeatures]) -> list[str]:
        """Return one text per video: the answers to all prompts, joined."""
        examples = [[Example(prompt, "") for prompt in self._prompts] for _ in videos]
        batch = self._prompter.collate(list(videos), examples)
        generated = generate(
            self._model,
            batch.to(self._model.backbone.device),
            self._prompter.end_of_turn,
            latents="off",
            max_new_tokens=self._max_new_tokens,
        )
        # One row per video and prompt; the prompts of a video are adjacent.
        answers = [self._prompter.decode(ids) for ids in generated.token_ids]
        per_video = len(self._prompts)
        return [
            ". ".join(answers[start : start + per_video])
            for start in range(0, len(answers), per_video)
        ]
