"""What a backbone says it sees: the text by which videos are found."""

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
"""Choice: what any chat model understands."""
EMBEDDED_PROMPTS = ("List the objects.", "List the events.")
"""What the embedded backbone was trained to list."""


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
        """Return a text for each video: the answers to all prompts, computed together."""
        examples = [[Example(prompt, "") for prompt in self._prompts] for _ in videos]
        batch = self._prompter.collate(list(videos), examples)
        out = generate(
            self._model,
            batch.to(self._model.backbone.device),
            self._prompter.end_of_turn,
            latents="off",
            max_new_tokens=self._max_new_tokens,
        )
        answers = [self._prompter.decode(ids) for ids in out.token_ids]
        size = len(self._prompts)
        return [". ".join(answers[i : i + size]) for i in range(0, len(answers), size)]
