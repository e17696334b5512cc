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
from videolatent_cli.video.content import content_id
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.resize import resized

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures

VIDEO_PROMPT = "Summary of the video above in one word:"
TEXT_PROMPT = "{text}\nSummary of the sentence above in one word:"


class BackboneEmbedder(CosineEmbedder):
    """Embedder of cached features by the backbone of a run; queries are texts or pictures."""

    source: Final = "features"

    def __init__(self, run: Path) -> None:
        self._trained = open_model(run)
        self._summarizer = Summarizer(self._trained.model.backbone)
        self.dim = self._trained.model.backbone.dim

    @cached_property
    def name(self) -> str:
        """Name that changes with the weights and the prompts."""
        checkpoint = self._trained.checkpoint
        weights = content_id(checkpoint.folder / checkpoint.weights_file)
        return f"backbone {digest([checkpoint.backbone_hash, weights, VIDEO_PROMPT, TEXT_PROMPT])}"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the features that the embedder accepts."""
        return self._trained.source().fingerprint

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[VideoFeatures]
    ) -> NDArray[np.float32]:
        """Return the unit vectors of segments by their features, (segment, dim)."""
        del texts, pictures
        vectors: NDArray[np.float32] = self._summarizer.videos(features).numpy()
        return vectors

    def picture(self, data: bytes) -> NDArray[np.float32]:
        """Return the unit vector of a picture file, (dim,), encoded as a video of one frame."""
        sampling = self._trained.checkpoint.sampling
        with Image.open(io.BytesIO(data)) as image:
            sizes = sampling.frame_sizes(*image.size)
            pixels = resized([np.array(image.convert("RGB"))], sizes, sampling.resizing.filter)
        features = self._trained.source().encode(FrameBatch(np.stack(pixels), np.zeros(1)))
        vector: NDArray[np.float32] = self.segments((), (), [features])[0]
        return vector

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a query, (dim,)."""
        vector: NDArray[np.float32] = self._summarizer.texts([text]).numpy()[0]
        return vector


class Summarizer:
    """Maps videos and texts to vectors in one space, without any training for it.

    Source: E5-V (Jiang et al. 2024, arXiv 2407.12580), for pictures and texts. The prompt asks for
    a summary in one word; the last hidden state before that word is similar for a picture and for
    its description. Choice: the same for videos, after all of their visual tokens.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._model = VideoLatent(backbone, None).eval()
        self._prompter = Prompter(backbone)

    @torch.no_grad()
    def videos(self, videos: Sequence[VideoFeatures]) -> Float[Tensor, "video dim"]:
        """Return the unit vectors of videos."""
        backbone = self._model.backbone
        batch = self._prompter.collate(list(videos), [[Example(VIDEO_PROMPT, "")] for _ in videos])
        prefilled = self._model.prefill(batch.to(backbone.device))
        output = backbone.extend(prefilled.embeds, prefilled.state, prefilled.mask)
        return _last_states(output.hidden)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Return the unit vectors of texts."""
        backbone = self._model.backbone
        prompts = [TEXT_PROMPT.format(text=text) for text in texts]
        # Padded on the left, so that the last position of each row is the end of its prompt.
        padded = pad(self._prompter.text_prompts(prompts), "left").to(backbone.device)
        state = backbone.empty_state(len(prompts))
        output = backbone.extend(backbone.embed(padded.ids), state, padded.mask)
        return _last_states(output.hidden)


def _last_states(hidden: Float[Tensor, "row seq dim"]) -> Float[Tensor, "row dim"]:
    """Return the last hidden state of each row as a float32 unit vector in main memory."""
    return F.normalize(hidden[:, -1].float(), dim=-1).cpu()
