"""One vector for a video or a text: what a backbone would sum it up by in one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from videolatent_cli.model.batch import Example, Prompter, pad
from videolatent_cli.model.videolatent import VideoLatent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.model.backbone import Backbone
    from videolatent_cli.model.features import VideoFeatures

VIDEO_PROMPT = "Summary of the video above in one word:"
TEXT_PROMPT = "{text}\nSummary of the sentence above in one word:"


class Summarizer:
    """Makes vectors of videos and texts that lie in one space, without training for it.

    Source: E5-V (Jiang et al. 2024, arXiv 2407.12580), for pictures and texts: the last hidden
    state from which a multimodal language model says the one word is alike for both. Choice: the
    same for videos, after all of their visual tokens.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._model = VideoLatent(backbone, None).eval()
        self._prompter = Prompter(backbone)

    @torch.no_grad()
    def videos(self, videos: Sequence[VideoFeatures]) -> Float[Tensor, "video dim"]:
        """Return the unit vectors of videos."""
        backbone = self._model.backbone
        batch = self._prompter.collate(list(videos), [[Example(VIDEO_PROMPT, "")] for _ in videos])
        asked = self._model.open(batch.to(backbone.device))
        return _last(backbone.extend(asked.embeds, asked.state, asked.mask).hidden)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Return the unit vectors of texts."""
        backbone = self._model.backbone
        prompts = [TEXT_PROMPT.format(text=text) for text in texts]
        asked = pad(self._prompter.plain(prompts), "left").to(backbone.device)
        state = backbone.empty_state(len(prompts))
        return _last(backbone.extend(backbone.embed(asked.ids), state, asked.mask).hidden)


def _last(hidden: Float[Tensor, "row seq dim"]) -> Float[Tensor, "row dim"]:
    """Return the last states at length 1, float32, in main memory."""
    return F.normalize(hidden[:, -1].float(), dim=-1).cpu()
