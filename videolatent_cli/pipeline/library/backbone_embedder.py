"""Search vectors from the backbone of a run: no other model, no text between video and query."""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from videolatent_cli.model.embedders import CosineEmbedder
from videolatent_cli.model.summary import TEXT_PROMPT, VIDEO_PROMPT, Summarizer
from videolatent_cli.pipeline.models import open_model
from videolatent_cli.recipe import digest
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.probe import content_id
from videolatent_cli.video.resize import resized

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from videolatent_cli.model.features import VideoFeatures


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
