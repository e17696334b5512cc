"""Load the backbone that a recipe names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import logging as transformers_logging

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.attention import choose_attention
from videolatent_cli.model.backbones.framewise import InternVL, LlavaOnevision, SmolVLM
from videolatent_cli.model.backbones.pixels import offline, read_settings
from videolatent_cli.model.backbones.quantization import nf4, prepare
from videolatent_cli.model.backbones.qwen_vl import Qwen2VL, Qwen3VL
from videolatent_cli.model.backbones.tiny import TINY, TINY_FOLDER

if TYPE_CHECKING:
    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.recipe.schema import Backbone as BackboneRecipe

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # vl shows its own
FAMILIES: dict[str, type[Backbone]] = {
    "qwen2_vl": Qwen2VL,
    "qwen2_5_vl": Qwen2VL,
    "qwen3_vl": Qwen3VL,
    "qwen3_vl_moe": Qwen3VL,
    "internvl": InternVL,
    "llava_onevision": LlavaOnevision,
    "smolvlm": SmolVLM,
}
"""By `model_type` of a model's configuration; each is tested."""


def check_device(device: str) -> str:
    """Return the device to run on; `auto` is the GPU where there is one.

    Raises:
        SetupError: For a device that this machine lacks.
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
    """Return the backbone that a recipe names, on a device, with nothing trainable yet.

    Args:
        recipe: Which model, and how it is kept.
        device: Where it goes.
        seed: Of random weights.
        unpacked: Whether quantized weights get their full size again, with the values they have.

    Raises:
        SetupError: Where the model is not on disk, is of another family, or where its
            weights are not those that its family needs.
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
    options: dict[str, Any] = {"attn_implementation": choose_attention(recipe.attention, device)}
    dtype = _dtype(recipe.dtype, device)
    if recipe.weights == "random":
        torch.manual_seed(seed)
        make: Any = AutoModelForImageTextToText.from_config
        model = make(config, **options).to(dtype)
    else:
        if recipe.quantization == "nf4":
            options |= {"quantization_config": nf4(family.decoder, dtype), "device_map": device}
        model = _pretrained(folder, {**options, "dtype": dtype, "local_files_only": offline()})
        prepare(model)
    if unpacked and recipe.quantization != "none":
        model = model.dequantize(dtype)
    model.requires_grad_(False)
    return family(model, tokenizer, settings).to(device)


def _pretrained(folder: str | Path, options: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
    """Return a model with its weights.

    Raises:
        SetupError: Where weights are missing, unknown, or of another shape.
    """
    load: Any = AutoModelForImageTextToText.from_pretrained
    model, found = load(folder, output_loading_info=True, **options)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in found[problem])
        if names:
            what = problem.replace("_keys", " weights")
            raise SetupError(
                f"backbone.model: '{folder}' has {len(names)} {what}, got {names[0]}; "
                "download the model again, or choose one in transformers' own format"
            )
    return model


def _dtype(name: str, device: str) -> torch.dtype:
    """Return the type of the weights; `auto` is bfloat16 on a GPU only."""
    if name == "auto":
        return torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    dtype: torch.dtype = getattr(torch, name)
    return dtype
