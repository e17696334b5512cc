"""Search-vector back ends: their interface, and the specifications that name them."""

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
VectorSource = Literal["text", "picture", "features"]


class Embedder(Protocol):
    """Maps segments and queries to unit vectors that are close if the segment fits the query."""

    @property
    def name(self) -> str:
        """Name that changes whenever the same input would get another vector."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def source(self) -> VectorSource:
        """Part of a segment that its vector is computed from."""

    @property
    def orders_by_score(self) -> bool:
        """Whether the score orders moments better than the fused ranks of LanceDB."""

    @property
    def default_min_score(self) -> float:
        """Lowest score of a moment that a question is put to, unless the user sets another."""

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[VideoFeatures]
    ) -> NDArray[np.float32]:
        """Return the vectors of segments, (segment, dim).

        Args:
            texts: Search texts of the segments.
            pictures: One JPEG per segment; may be incomplete unless they are the source.
            features: Output of the vision tower per segment; may be empty unless they are the
                source.
        """

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a query, (dim,)."""

    def score(
        self, query: str, query_vector: NDArray[np.float32], text: str, vector: NDArray[np.float32]
    ) -> float:
        """Return how well a segment fits a query, in [0, 1].

        Args:
            query: Words of the query.
            query_vector: Vector of the query.
            text: Search text of the segment.
            vector: Vector of the segment.
        """


@runtime_checkable
class PictureEmbedder(Embedder, Protocol):
    """Embedder that also maps pictures to vectors, so that a picture can be the query."""

    def picture(self, data: bytes) -> NDArray[np.float32]:
        """Return the vector of a picture file, (dim,)."""


def absolute_spec(spec: str) -> str:
    """Return the specification of an embedder with its folder as an absolute path."""
    kind, _, folder = spec.partition(":")
    return f"{kind}:{Path(folder).absolute()}" if folder else spec


def open_embedder(spec: str) -> Embedder:
    """Return the embedder of a specification.

    Args:
        spec: `lexical`, `sentence:FOLDER` (sentence-transformers), `siglip:FOLDER` or
            `backbone:RUN`.

    Raises:
        UsageError: For any other specification.
        SetupError: If the model or its package is missing.
    """
    kind, _, folder = spec.partition(":")
    if spec == LEXICAL:
        return LexicalEmbedder()
    # Imported here: the lexical embedder must not load torch.
    if kind in ("sentence", "siglip") and folder:
        from videolatent_cli.pipeline.library.embedders.pretrained import (
            SentenceEmbedder,
            SiglipEmbedder,
        )

        embedder_class = SentenceEmbedder if kind == "sentence" else SiglipEmbedder
        return embedder_class(Path(folder))
    if kind == "backbone" and folder:
        from videolatent_cli.pipeline.library.embedders.backbone import BackboneEmbedder

        return BackboneEmbedder(Path(folder))
    raise UsageError(
        f"--embedder: must be lexical, sentence:FOLDER, siglip:FOLDER or backbone:RUN, got '{spec}'"
    )
