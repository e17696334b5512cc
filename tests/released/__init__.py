"""Stand-ins for released models: their own settings files around a small random model.

The stand-in tokenizer encodes bytes and has one merge, of two line feeds. With the release's special
tokens and its way of cutting text into words, it joins the parts of prompts as the real one does.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoConfig, AutoModelForImageTextToText

RELEASES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.json")))
QUANTIZED = "Qwen2-VL-2B-Instruct-AWQ"
LOADABLE = tuple(name for name in RELEASES if name != QUANTIZED)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""A template that knows text only, as tokenizers of Qwen2 and Qwen2.5 have it."""
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
_VIT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_VISION: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"depth": 2, "num_heads": 2, "embed_dim": 32, "hidden_size": 64},
    "qwen2_5_vl": {
        "depth": 2,
        "num_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
    },
    "qwen3_vl": {
        "depth": 3,
        "num_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "out_hidden_size": 64,
        "deepstack_visual_indexes": [0, 1],
    },
    "internvl": _VIT,
    "llava_onevision": _VIT,
    "smolvlm": _VIT,
}


def released_files(release: str) -> dict[str, Any]:
    """The settings files of a release by name, parsed."""
    path = Path(__file__).parent / f"{release}.json"
    files: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return files


def _tokenizer(config: dict[str, Any]) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate([*letters, "ĊĊ"])}
    core = Tokenizer(BPE(vocab, [("Ċ", "Ċ")]))
    if config["tokenizer_class"] == "Qwen2Tokenizer":
        words = pre_tokenizers.Split(Regex(_QWEN_WORDS), "isolated")
        letters_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    else:
        words = pre_tokenizers.Digits(individual_digits=True)
        letters_of = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.pre_tokenizer = pre_tokenizers.Sequence([words, letters_of])
    core.decoder = decoders.ByteLevel()
    for _, token in sorted(config["added_tokens_decoder"].items(), key=lambda item: int(item[0])):
        added = AddedToken(token["content"], special=token["special"], normalized=False)
        core.add_tokens([added])
    return core


def _shrunk(config: dict[str, Any], new_ids: dict[str, int], vocab_size: int) -> dict[str, Any]:
    """The configuration of a small model with the ids of the stand-in tokenizer."""
    kind = config["model_type"]
    nested = "text_config" in config
    text = config["text_config"] if nested else config
    text |= _TEXT | ({"head_dim": 32} if kind in ("qwen3_vl", "smolvlm") else {})
    if kind.startswith("qwen"):
        text["rope_scaling"]["mrope_section"] = [6, 5, 5] if nested else [4, 6, 6]
    config["vision_config"] |= _VISION[kind]
    config.pop("max_window_layers", None)
    for part in (config, text) if nested else (config,):
        for key, value in part.items():
            if key.endswith(("token_id", "token_index")) and isinstance(value, int):
                part[key] = new_ids.get(str(value), 0)
        if "vocab_size" in part:
            part["vocab_size"] = vocab_size
    return config


def write_released(folder: Path, release: str) -> Path:
    """A folder with a release's own settings files, a stand-in tokenizer and random weights."""
    files = released_files(release)
    tokenizer = files["tokenizer_config.json"]
    core = _tokenizer(tokenizer)
    added = tokenizer["added_tokens_decoder"]
    new_ids = {old: core.token_to_id(token["content"]) for old, token in added.items()}
    tokenizer["added_tokens_decoder"] = {str(new_ids[old]): added[old] for old in added}
    # The class of the release makes its own tokenizer from vocab.json.
    tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    _shrunk(files["config.json"], new_ids, core.get_vocab_size() + 7)
    folder.mkdir(parents=True, exist_ok=True)
    core.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        if "of_the_later_converter" not in name:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
    if "quantization_config" not in files["config.json"]:
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
        settings = (folder / "config.json").read_text()
        model.save_pretrained(folder)
        (folder / "config.json").write_text(settings)
    return folder
