"""Search vectors from models on disk: sentence-transformers for texts, SigLIP for pictures."""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoTokenizer, SiglipModel
from transformers.utils import logging as transformers_logging

from videolatent_cli.errors import SetupError
from videolatent_cli.recipe import digest
from videolatent_cli.video.content import content_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # vl shows its own

_TEXT_TOKENS = 64
"""Text length that SigLIP was trained with; shorter texts are padded to it."""


class CosineEmbedder:
    """Base of embedders with a model: scores are cosines."""

    orders_by_score = False
    default_min_score = 0.0
    """Not calibrated: a question is put to every moment, unless `--min-score` is given."""

    def score(
        self, query: str, query_vector: NDArray[np.float32], text: str, vector: NDArray[np.float32]
    ) -> float:
        """Return the cosine between query and segment, or 0 if it is negative."""
        del query, text
        return max(0.0, float(vector @ query_vector))


class _FolderEmbedder(CosineEmbedder):
    """Base of embedders with a model in a folder: the name contains a hash of its files."""

    kind: str

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").exists():
            raise SetupError(
                f"--embedder: {folder} holds no model (config.json is missing); name a folder with "
                "one, or use 'lexical', which needs none"
            )
        self.folder = folder

    @cached_property
    def name(self) -> str:
        """Name that changes with the files of the model."""
        return f"{self.kind} {_folder_hash(self.folder)}"


def _folder_hash(folder: Path) -> str:
    """Return a hash of the files of a model."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors", ".model"))
    return digest([[path.name, content_id(path)] for path in files])


class SentenceEmbedder(_FolderEmbedder):
    """Embedder of texts by a local sentence-transformers model."""

    kind = "sentence-transformers"
    source: Final = "text"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise SetupError(
                "--embedder: sentence-transformers is missing; pip install "
                "'videolatent-cli[sentence]'"
            ) from None
        self._model: Any = SentenceTransformer(str(folder), local_files_only=True)
        self.dim = int(self._model.get_embedding_dimension())

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[object]
    ) -> NDArray[np.float32]:
        """Return the unit vectors of segments by their search texts, (text, dim)."""
        del pictures, features
        return self._encode(list(texts))

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a query, (dim,)."""
        vector: NDArray[np.float32] = self._encode([text])[0]
        return vector

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


class SiglipEmbedder(_FolderEmbedder):
    """Embedder of pictures by a local SigLIP or SigLIP 2 model; queries are texts or pictures.

    Source: SigLIP 2 (arXiv 2502.14786); checkpoints of fixed resolution have SigLIP's architecture.
    """

    kind = "siglip"
    source: Final = "picture"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        model_type = AutoConfig.from_pretrained(folder).model_type
        if model_type != "siglip":
            raise SetupError(
                f"--embedder: {folder} must be a SigLIP model of fixed resolution, "
                f"got '{model_type}'"
            )
        model: Any = SiglipModel.from_pretrained(folder)
        self._model = model.eval()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._size = int(model.config.vision_config.image_size)
        self.dim = int(model.config.vision_config.hidden_size)

    def segments(
        self, texts: Sequence[str], pictures: Sequence[bytes], features: Sequence[object]
    ) -> NDArray[np.float32]:
        """Return the unit vectors of segments by their JPEG pictures, (picture, dim)."""
        del texts, features
        return np.stack([self.picture(data) for data in pictures])

    @torch.no_grad()
    def picture(self, data: bytes) -> NDArray[np.float32]:
        """Return the unit vector of a picture file, (dim,)."""
        with Image.open(io.BytesIO(data)) as image:
            small = image.convert("RGB").resize((self._size, self._size), Image.Resampling.BILINEAR)
        # (height, width, 3) in [0, 255] becomes (1, 3, height, width) in [-1, 1].
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 127.5 - 1
        return _unit(self._model.get_image_features(pixel_values=pixels).pooler_output)

    @torch.no_grad()
    def query(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a query, (dim,)."""
        ids = self._tokenizer(
            [text.lower()],  # SigLIP expects lower case
            padding="max_length",
            truncation=True,
            max_length=_TEXT_TOKENS,
            return_tensors="pt",
        ).input_ids
        return _unit(self._model.get_text_features(input_ids=ids).pooler_output)


def _unit(vectors: Tensor) -> NDArray[np.float32]:
    """Return the only vector of a batch of one, scaled to length 1."""
    unit: NDArray[np.float32] = torch.nn.functional.normalize(vectors[0].float(), dim=0).numpy()
    return unit
