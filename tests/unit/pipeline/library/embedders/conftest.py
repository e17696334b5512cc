"""Very small models that make search vectors."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, SiglipConfig, SiglipModel

from videolatent_cli.model.backbones.tiny import make_tokenizer


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small SigLIP with random weights."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    size |= {"num_attention_heads": 2}
    text = {"vocab_size": 200, "bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0}
    config = SiglipConfig(
        text_config=size | text | {"projection_size": 32},
        vision_config=size | {"image_size": 32, "patch_size": 8},
    )
    folder = tmp_path_factory.mktemp("siglip")
    SiglipModel(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small sentence-transformers model with random weights."""
    from sentence_transformers import SentenceTransformer  # takes a second, most runs need it not
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    out = tmp_path_factory.mktemp("sentence")
    words = Transformer(str(folder))
    SentenceTransformer(modules=[words, Pooling(32)], device="cpu").save(str(out))
    return out
