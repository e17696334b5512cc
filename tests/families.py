"""Very small random models of every family, saved like Hugging Face folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    AutoModelForImageTextToText,
    InternVLConfig,
    LlavaOnevisionConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2VLConfig,
    Qwen3VLConfig,
    Qwen3VLMoeConfig,
    SmolVLMConfig,
)

from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.backbones.pixels import normalised, patchify
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.video.frames import FrameBatch

DIM = 32
QUESTIONS = [("What moved first?", "a cup"), ("Where did it go, and when?", "left")]
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<video>",
    "<image>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
)
ID = {token: 256 + index for index, token in enumerate(SPECIAL)}
VOCAB = 256 + len(SPECIAL)
TEXT = {
    "vocab_size": VOCAB,
    "hidden_size": DIM,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
    "eos_token_id": ID["<|im_end|>"],
    "pad_token_id": ID["<|endoftext|>"],
    "initializer_range": 0.2,
}
QWEN_IDS = {
    "vision_start_token_id": ID["<|vision_start|>"],
    "vision_end_token_id": ID["<|vision_end|>"],
    "image_token_id": ID["<|image_pad|>"],
    "video_token_id": ID["<|video_pad|>"],
}
MROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
QWEN_VISION = {"depth": 2, "num_heads": 2, "spatial_merge_size": 2, "temporal_patch_size": 2}
VIT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
QWEN_TEMPLATE = "<|vision_start|><|video_pad|><|vision_end|>"

FPS = 2.0


def _text(**changes: object) -> dict[str, Any]:
    return TEXT | changes


def _qwen2_vl() -> Any:
    vision = QWEN_VISION | {"patch_size": 8, "embed_dim": 16, "hidden_size": DIM, "mlp_ratio": 2}
    return Qwen2VLConfig(text_config=_text(rope_parameters=MROPE), vision_config=vision, **QWEN_IDS)


def _qwen2_5_vl() -> Any:
    vision = QWEN_VISION | {"patch_size": 8, "hidden_size": 16, "intermediate_size": 32}
    vision |= {
        "out_hidden_size": DIM,
        "window_size": 32,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 1,
    }
    return Qwen2_5_VLConfig(
        text_config=_text(rope_parameters=MROPE), vision_config=vision, **QWEN_IDS
    )


def _qwen3_parts() -> dict[str, Any]:
    vision = QWEN_VISION | {"patch_size": 8, "hidden_size": 16, "intermediate_size": 32}
    vision |= {"out_hidden_size": DIM, "num_position_embeddings": 64}
    vision |= {"deepstack_visual_indexes": [0, 1]}
    text = _text(rope_parameters=MROPE | {"mrope_interleaved": True}, head_dim=16)
    return {"text_config": text, "vision_config": vision, **QWEN_IDS}


def _qwen3_vl() -> Any:
    return Qwen3VLConfig(**_qwen3_parts())


def _qwen3_vl_moe() -> Any:
    parts = _qwen3_parts()
    parts["text_config"] |= {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
    }
    return Qwen3VLMoeConfig(**parts)


def _internvl() -> Any:
    vision = VIT | {"image_size": [64, 64], "patch_size": [8, 8]}
    return InternVLConfig(
        text_config=_text(model_type="qwen2"),
        vision_config=vision,
        image_token_id=ID["<IMG_CONTEXT>"],
        downsample_ratio=0.5,
    )


def _llava_onevision() -> Any:
    vision = VIT | {"model_type": "siglip_vision_model", "image_size": 56, "patch_size": 8}
    return LlavaOnevisionConfig(
        text_config=_text(model_type="qwen2"),
        vision_config=vision,
        image_token_id=ID["<image>"],
        video_token_id=ID["<video>"],
    )


def _smolvlm() -> Any:
    return SmolVLMConfig(
        text_config=_text(model_type="llama"),
        vision_config=VIT | {"image_size": 64, "patch_size": 8},
        image_token_id=ID["<image>"],
        scale_factor=4,
        pad_token_id=ID["<|endoftext|>"],
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_vl_moe": _qwen3_vl_moe,
    "internvl": _internvl,
    "llava_onevision": _llava_onevision,
    "smolvlm": _smolvlm,
}


def make_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that knows the special tokens of all families."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    video = QWEN_TEMPLATE if family.startswith("qwen") else "<video>"
    template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% for part in message['content'] %}{% if part['type'] == 'video' %}"
        + video
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    make: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = make(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
        },
        chat_template=template,
    )
    return tokenizer


def write_family(folder: Path, family: str) -> Path:
    """A folder with configuration, tokenizer, processor file and random weights."""
    make_tokenizer(family).save_pretrained(folder)
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(FAMILIES[family]()).save_pretrained(folder)
    colors = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(colors), encoding="utf-8")
    return folder


def load_family(folder: Path, train: str = "full") -> Backbone:
    """A family's backbone, ready to be trained, in evaluation mode."""
    recipe = BackboneRecipe(model=str(folder), train=train)
    backbone = load_backbone(recipe)
    torch.manual_seed(0)
    backbone.make_trainable(recipe)
    return backbone.eval()


def frames_for(backbone: Backbone, seed: int = 0, count: int = 5) -> FrameBatch:
    """Random frames of a size that the family takes, 2 a second."""
    width, height = backbone.geometry.frame_size_px or (48, 32)
    shape = (count, height, width, 3)
    data = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return FrameBatch(data, np.arange(count) / FPS + 61)


def family_batch(backbone: Backbone) -> Batch:
    """Two questions about each of two videos of different length."""
    with torch.no_grad():
        features = backbone.encode_videos(
            [frames_for(backbone), frames_for(backbone, seed=1, count=2)]
        )
    examples = [[Example(*pair) for pair in QUESTIONS]] * 2
    return Prompter(backbone).collate(features, examples)


def pixel_inputs(backbone: Backbone, frames: FrameBatch, ids: torch.Tensor) -> dict[str, Any]:
    """What transformers' own forward takes besides token ids."""
    family = backbone.config.model_type
    if family.startswith("qwen"):
        layout = backbone.layout_of(frames)
        inputs = {
            "pixel_values_videos": patchify(frames, backbone.geometry, backbone.colors),
            "video_grid_thw": torch.tensor([layout.grid]),
            "mm_token_type_ids": (ids == backbone.visual_token_id).int() * 2,
        }
        seconds = {"second_per_grid_ts": [backbone.geometry.frames_per_group / FPS]}
        return inputs | (seconds if family == "qwen2_5_vl" else {})
    pixels = normalised(frames, backbone.colors)
    if family == "internvl":
        return {"pixel_values": pixels}
    name = "pixel_values_videos" if family == "llava_onevision" else "pixel_values"
    return {name: pixels[None]}
