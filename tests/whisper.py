"""A Whisper model with random weights, as faster-whisper reads it: it hears nonsense."""

import shutil
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

SPECIAL = "endoftext startoftranscript en translate transcribe startoflm startofprev nospeech"
TIMES = 1501
"""Tokens of times, in steps of 20 ms."""


def write_whisper(folder: Path) -> Path:
    """Write the model and return its folder."""
    from ctranslate2.converters import TransformersConverter

    tokenizer = _tokenizer()
    names = [f"<|{name}|>" for name in SPECIAL.split()]
    end, start, english = tokenizer.convert_tokens_to_ids(names[:3])
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer) + TIMES,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config.lang_to_id = {"<|en|>": english}
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = []
    model.generation_config.alignment_heads = [[0, 0]]
    model.save_pretrained(folder / "hf")
    tokenizer.save_pretrained(folder / "hf")
    TransformersConverter(str(folder / "hf")).convert(str(folder / "whisper"))
    shutil.copy(folder / "hf/tokenizer.json", folder / "whisper")
    return folder / "whisper"


def _tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes and some words, with Whisper's special tokens."""
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(f"\u0120w{i}" for i in range(100))]
    tokenizer = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = [*SPECIAL.split(), "notimestamps"]
    tokenizer.add_special_tokens([AddedToken(f"<|{n}|>", special=True) for n in names])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        bos_token="<|startoftranscript|>",
        unk_token="<|endoftext|>",
    )
