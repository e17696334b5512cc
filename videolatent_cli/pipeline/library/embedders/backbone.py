"""Search vectors from the backbone of a run."""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from videolatent_cli.model.batch import Example, Prompter, pad
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.pipeline.library.embedders.pretrained import CosineEmbedder
from videolatent_cli.pipeline.runs.trained_model import open_model
from videolatent_cli.recipe import digest
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.info import content_id
from videolatent_cli.video.resize import resized

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures

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
        asked = self._model.prefill(batch.to(backbone.device))
        return _last(backbone.extend(asked.embeds, asked.state, asked.mask).hidden)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Return the unit vectors of texts."""
        backbone = self._model.backbone
        prompts = [TEXT_PROMPT.format(text=text) for text in texts]
        asked = pad(self._prompter.text_prompts(prompts), "left").to(backbone.device)
        state = backbone.empty_state(len(prompts))
        return _last(backbone.extend(backbone.embed(asked.ids), state, asked.mask).hidden)


def _last(hidden: Float[Tensor, "row seq dim"]) -> Float[Tensor, "row dim"]:
    """Return the last states at length 1, float32, in main memory."""
    return F.normalize(hidden[:, -1].float(), dim=-1).cpu()


class BackboneEmbedder(CosineEmbedder):
    """Segments by their cached features, and queries by text or picture."""

    source: Final = "features"

    def __init__(self, run: Path) -> None:
        self._trained = open_model(run)
        self._summarizer = Summarizer(self._trained.model.backbone)
        self.dim = self._trained.model.backbone.dim

    @cached_property
    def name(self) -> str:
        """Changes with the weights and what the model is asked."""
        checkpoint = self._trained.checkpoint
        weights = content_id(checkpoint.folder / checkpoint.weights_file)
        return f"backbone {digest([checkpoint.backbone_hash, weights, VIDEO_PROMPT, TEXT_PROMPT])}"

    @property
    def fingerprint(self) -> str:
        """Of the features that it takes."""
        return self._trained.source().fingerprint

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[VideoFeatures]
    ) -> NDArray[np.float32]:
        """Return unit vectors, (segment, dim), of what the vision tower made of segments."""
        del texts, pictures
        found: NDArray[np.float32] = self._summarizer.videos(features).numpy()
        return found

    def picture(self, data: bytes) -> NDArray[np.float32]:
        """Return the unit vector of a picture file, (dim,), seen as a video of one frame."""
        sampling = self._trained.checkpoint.sampling
        with Image.open(io.BytesIO(data)) as image:
            sizes = sampling.frame_sizes(*image.size)
            pixels = resized([np.array(image.convert("RGB"))], sizes, sampling.resizing.filter)
        frames = FrameBatch(np.stack(pixels), np.zeros(1))
        vector: NDArray[np.float32] = self.segments(
            (), (), [self._trained.source().encode(frames)]
        )[0]
        return vector

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a query, (dim,)."""
        vector: NDArray[np.float32] = self._summarizer.texts([text]).numpy()[0]
        return vector
