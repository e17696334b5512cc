"""Loading of the backbone that a recipe names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import logging as transformers_logging

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.attention import choose_attention
from videolatent_cli.model.backbones.folder import offline, read_settings, read_template
from videolatent_cli.model.backbones.framewise import InternVL, LlavaOnevision, SmolVLM
from videolatent_cli.model.backbones.quantization import nf4, prepare
from videolatent_cli.model.backbones.qwen_vl import Qwen2VL, Qwen3VL
from videolatent_cli.model.backbones.tiny import TINY, TINY_FOLDER

if TYPE_CHECKING:
    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.recipe.schema import Backbone as BackboneRecipe

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # vl has its own

FAMILIES: dict[str, type[Backbone]] = {
    "qwen2_vl": Qwen2VL,
    "qwen2_5_vl": Qwen2VL,
    "qwen3_vl": Qwen3VL,
    "qwen3_vl_moe": Qwen3VL,
    "internvl": InternVL,
    "llava_onevision": LlavaOnevision,
    "smolvlm": SmolVLM,
}
"""Backbone class for each supported `model_type` of a model's configuration."""


def check_device(device: str) -> str:
    """Return the device to run on; `auto` is the GPU if there is one, else the CPU.

    Raises:
        SetupError: If the device does not exist or cannot be used.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SetupError(
            f"--device: cannot be used, got '{device}' ({reason}); choose cpu or auto"
        ) from None
    return device


def backbone_folder(recipe: BackboneRecipe) -> str | Path:
    """Return the folder or hub id of a recipe's backbone."""
    return TINY_FOLDER if recipe.model == TINY else recipe.model


def load_backbone(
    recipe: BackboneRecipe, device: str = "cpu", seed: int = 0, *, unpacked: bool = False
) -> Backbone:
    """Return the backbone that a recipe names, on a device, without trainable parameters.

    Args:
        recipe: Section `backbone` of the recipe.
        device: Device of the weights.
        seed: Seed of the weights, with `weights: random`.
        unpacked: Whether to convert quantized weights back to the recipe's data type. They keep the
            values that quantization rounded them to.

    Raises:
        SetupError: If the model cannot be loaded, its family is not supported, or its weights do
            not fit its configuration.
    """
    folder = backbone_folder(recipe)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=offline())
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=offline())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SetupError(
            f"backbone.model: cannot load, got '{recipe.model}' ({reason}); "
            "name a folder on disk, a hub id, or 'tiny'"
        ) from None
    if config.model_type not in FAMILIES:
        raise SetupError(
            f"backbone.model: '{recipe.model}' is of family {config.model_type}, "
            f"supported: {', '.join(FAMILIES)}; choose a model of these families"
        )
    family, settings = FAMILIES[config.model_type], read_settings(folder)
    template = family.video_template() or read_template(folder)
    if template is not None:
        tokenizer.chat_template = template
    options: dict[str, Any] = {"attn_implementation": choose_attention(recipe.attention, device)}
    dtype = _dtype(recipe.dtype, device)
    if recipe.weights == "random":
        torch.manual_seed(seed)
        from_config: Any = AutoModelForImageTextToText.from_config
        model = from_config(config, **options).to(dtype)
    else:
        if recipe.quantization == "nf4":
            options |= {"quantization_config": nf4(family.decoder, dtype), "device_map": device}
        model = _pretrained(folder, {**options, "dtype": dtype, "local_files_only": offline()})
        prepare(model)
    if unpacked and recipe.quantization != "none":
        model = model.dequantize(dtype)
    model.requires_grad_(False)
    return family(model, tokenizer, settings).to(device)


def _pretrained(folder: str | Path, options: dict[str, Any]) -> Any:  # noqa: ANN401 - no useful type
    """Return a model with its pretrained weights.

    Raises:
        SetupError: If weights are missing, unexpected, or of another shape, or in a format that
            needs a package that is not installed.
    """
    from_pretrained: Any = AutoModelForImageTextToText.from_pretrained
    try:
        model, loading_info = from_pretrained(folder, output_loading_info=True, **options)
    except ImportError as error:
        # Quantized releases, such as those with AWQ weights, need packages of their own.
        reason = " ".join(str(error).split())
        raise SetupError(
            f"backbone.model: cannot load, got '{folder}' ({reason}); name its release without "
            "quantization, and set backbone.quantization: nf4 for 4-bit weights"
        ) from None
    # transformers would fill missing weights with random numbers and only log a warning.
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in loading_info[problem])
        if names:
            weights = problem.replace("_keys", " weights")
            raise SetupError(
                f"backbone.model: '{folder}' has {len(names)} {weights}, got {names[0]}; "
                "download the model again, or choose one in transformers' own format"
            )
    return model


def _dtype(name: str, device: str) -> torch.dtype:
    """Return the data type of the weights; `auto` is float32 on a CPU, else bfloat16."""
    if name == "auto":
        return torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    dtype: torch.dtype = getattr(torch, name)
    return dtype
