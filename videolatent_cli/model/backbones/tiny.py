"""The embedded backbone: a small Qwen2.5-VL with a vocabulary of words, trained from scratch.

Its weights come from the four recipes `recipes/tiny_backbone*.yaml`. This module writes all other
files of its folder.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig

TINY = "tiny"
"""Name of the embedded backbone in recipes."""
TINY_FOLDER = Path(__file__).parent / "tiny_weights"
"""Folder of the embedded backbone."""
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|unk|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_INIT = 0.06
"""Standard deviation of the initial weights."""
WORDS = tuple(
    """
    system user assistant 0 1 2 3 4 5 6 7 8 9 a b c d e f : ; , . ? ! ( ) ' -
    red green blue yellow purple cyan circle square cross triangle up down left right
    top middle bottom center yes no move hit appear vanish cover swap
    moved moves moving appeared appears vanished covered swapped hits happened happens
    how many objects object are there at the start end where did go which color colour shape
    was is first last different times before after that list events so next previous and or
    of to in on it what when who video does do direction with an one two three four five
    correct answer options option true false not none begin ends scene thing things other
    say sentence think wait words order step by please answered
    """.split()  # noqa: SIM905 - a table of words reads better as text
)
"""Words of the vocabulary; `vl ask` warns of words that become the unknown token."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return the word-level tokenizer.

    It converts text to lower case, makes punctuation and each digit tokens of their own, and maps
    unknown words to the unknown token.
    """
    vocab = {token: index for index, token in enumerate((*SPECIAL_TOKENS, *WORDS))}
    core = Tokenizer(WordLevel(vocab, unk_token="<|unk|>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    core.add_special_tokens(list(SPECIAL_TOKENS))
    untyped: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = untyped(
        tokenizer_object=core,
        unk_token="<|unk|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={"video_token": "<|video_pad|>"},
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def make_config() -> Qwen2_5_VLConfig:
    """Return the configuration: for 64x64 frames, 16 visual tokens per pair of frames.

    Choice, both found by measurement (docs/explanation/embedded-model.md): the rotary base is 10.
    With 10,000, the columns of a frame differ by under 0.01 radian, too little to distinguish
    them. The standard deviation of initial weights is 0.06, about 1 / sqrt(width).
    """
    ids = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    dim = 160
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(SPECIAL_TOKENS) + len(WORDS),
            "hidden_size": dim,
            "intermediate_size": 416,
            "num_hidden_layers": 4,
            "num_attention_heads": 5,
            "num_key_value_heads": 5,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [4, 6, 6],
                "rope_theta": 10.0,
            },
            "initializer_range": _INIT,
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 2,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 4,
            "initializer_range": _INIT,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
            "window_size": 64,
            "fullatt_block_indexes": [0, 1],
            "out_hidden_size": dim,
        },
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        tie_word_embeddings=True,
    )


def write_tiny_folder(folder: Path) -> None:
    """Write configuration, tokenizer and colors of the embedded backbone, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    make_config().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    # A mean near the background's color: objects stand out in the features from the first step.
    colors = {"image_mean": [0.8, 0.8, 0.8], "image_std": [0.2, 0.2, 0.2]}
    text = json.dumps(colors, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
