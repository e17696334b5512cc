"""What makes the search vectors of a library: the seam, and the ways that there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from videolatent_cli.errors import UsageError
from videolatent_cli.pipeline.library.embedders.lexical import LexicalEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from videolatent_cli.model.backbones.features import VideoFeatures

LEXICAL = "lexical"
Source = Literal["text", "picture", "features"]


class Embedder(Protocol):
    """Makes unit vectors of segments and queries that are near where they fit."""

    @property
    def name(self) -> str:
        """Changes whenever the same input would get another vector."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def source(self) -> Source:
        """What vectors of segments are made of."""

    @property
    def ranks(self) -> bool:
        """Whether the score is a better order than the ranks that LanceDB fuses."""

    @property
    def least_score(self) -> float:
        """Score from which a moment counts as found."""

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[VideoFeatures]
    ) -> NDArray[np.float32]:
        """Return the vectors of segments, (segment, dim).

        Args:
            texts: What is seen in them, said, and written of them.
            pictures: One JPEG each; may be missing unless they are the source.
            features: What the vision tower made of each; empty unless they are the source.
        """

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a query, (dim,)."""

    def score(
        self, query: str, query_vector: NDArray[np.float32], text: str, vector: NDArray[np.float32]
    ) -> float:
        """Return how well a segment fits a query, in [0, 1].

        Args:
            query: Its words.
            query_vector: Its vector.
            text: Of the segment.
            vector: Of the segment.
        """


@runtime_checkable
class SeeingEmbedder(Embedder, Protocol):
    """One that makes vectors of pictures, which can be looked for too."""

    def picture(self, data: bytes) -> NDArray[np.float32]:
        """Return the vector of a picture file, (dim,)."""


def full_spec(spec: str) -> str:
    """Return how an embedder is named from anywhere: its folder absolute."""
    kind, _, folder = spec.partition(":")
    return f"{kind}:{Path(folder).absolute()}" if folder else spec


def open_embedder(spec: str) -> Embedder:
    """Return `lexical`, `sentence:FOLDER` (sentence-transformers), `siglip:FOLDER`, `backbone:RUN`.

    Raises:
        UsageError: For anything else.
        SetupError: Where the model or its package is missing.
    """
    kind, _, folder = spec.partition(":")
    if spec == LEXICAL:
        return LexicalEmbedder()
    if kind in ("sentence", "siglip") and folder:
        from videolatent_cli.pipeline.library.embedders.pretrained import (
            SentenceEmbedder,
            SiglipEmbedder,
        )

        found = SentenceEmbedder if kind == "sentence" else SiglipEmbedder
        return found(Path(folder))
    if kind == "backbone" and folder:
        from videolatent_cli.pipeline.library.embedders.backbone import BackboneEmbedder

        return BackboneEmbedder(Path(folder))
    raise UsageError(
        f"--embedder: must be lexical, sentence:FOLDER, siglip:FOLDER or backbone:RUN, got '{spec}'"
    )
