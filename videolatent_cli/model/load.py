"""Building a model from a recipe, and bringing back one from a checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import logging as transformers_logging

from videolatent_cli.errors import EnvironmentProblemError, IncompatibleError
from videolatent_cli.model.attention import choose_attention
from videolatent_cli.model.checkpoint import load_tensors, untrained_names
from videolatent_cli.model.framewise import InternVL, LlavaOnevision, SmolVLM
from videolatent_cli.model.pixels import offline, read_settings
from videolatent_cli.model.quantization import nf4, prepare
from videolatent_cli.model.qwen_vl import Qwen2VL, Qwen3VL
from videolatent_cli.model.tiny import TINY, TINY_FOLDER
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from videolatent_cli.model.backbone import Backbone
    from videolatent_cli.model.checkpoint import Checkpoint
    from videolatent_cli.recipe import Recipe
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
        EnvironmentProblemError: For a device that this machine lacks.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentProblemError(
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
        EnvironmentProblemError: Where the model is not on disk, is of another family, or where its
            weights are not those that its family needs.
    """
    folder = backbone_folder(recipe)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=offline())
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=offline())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentProblemError(
            f"backbone.model: cannot load, got '{recipe.model}' ({reason}); "
            "name a folder on disk, a hub id, or 'tiny'"
        ) from None
    if config.model_type not in FAMILIES:
        raise EnvironmentProblemError(
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
        EnvironmentProblemError: Where weights are missing, unknown, or of another shape.
    """
    load: Any = AutoModelForImageTextToText.from_pretrained
    model, found = load(folder, output_loading_info=True, **options)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in found[problem])
        if names:
            what = problem.replace("_keys", " weights")
            raise EnvironmentProblemError(
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


def build_model(recipe: Recipe, device: str = "cpu", *, unpacked: bool = False) -> VideoLatent:
    """Return the model of a recipe before training, gradients on for what is trained.

    `unpacked` is that of `load_backbone`.
    """
    seed = recipe.training.seed
    backbone = load_backbone(recipe.backbone, device, seed, unpacked=unpacked)
    torch.manual_seed(seed)
    backbone.make_trainable(recipe.backbone)
    return VideoLatent(backbone, recipe.latent)


def sampling_of(recipe: Recipe, model: VideoLatent) -> SamplingSpec:
    """Return the sampling contract of a recipe for a model."""
    geometry = model.backbone.geometry
    return SamplingSpec.of(
        recipe.video,
        geometry.size_multiple_px,
        geometry.frames_per_group,
        geometry.frame_size_px,
        model.backbone.resizing,
    )


def untrained_hash(model: VideoLatent) -> str:
    """Return 16 hexadecimal digits of the backbone's parameters that a checkpoint does not hold.

    Choice: shape and both ends, since all bytes of a 7B model would take half a minute; rounded to
    bfloat16, so that a model trained on a GPU answers on a CPU.
    """
    names = untrained_names(model.backbone)
    sha = hashlib.sha256()
    for name, parameter in sorted(model.backbone.named_parameters()):
        if name in names:
            flat = parameter.detach().flatten()
            ends = torch.cat((flat[:16384], flat[-16384:])).to(torch.bfloat16).cpu()
            sha.update(f"{name} {tuple(parameter.shape)}".encode())
            sha.update(ends.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]


def check_backbone(checkpoint: Checkpoint, found: str) -> None:
    """Check that the backbone's untrained parameters are those of a checkpoint.

    Raises:
        IncompatibleError: Where they are others.
    """
    if found != checkpoint.backbone_hash:
        raise IncompatibleError(
            f"{checkpoint.folder}: was trained on backbone weights {checkpoint.backbone_hash}, "
            f"'{checkpoint.recipe.backbone.model}' now has {found}; restore the old weights"
        )


def restore_model(
    checkpoint: Checkpoint, device: str = "cpu", *, unpacked: bool = False
) -> VideoLatent:
    """Return the trained model of a checkpoint, ready to answer.

    `unpacked` is that of `load_backbone`.

    Raises:
        IncompatibleError: Where the backbone is not the one that was trained on.
    """
    model = build_model(checkpoint.recipe, device)
    check_backbone(checkpoint, untrained_hash(model))
    if unpacked and checkpoint.recipe.backbone.quantization != "none":
        model = build_model(checkpoint.recipe, device, unpacked=True)
    load_tensors(model, checkpoint.model_tensors(), checkpoint.folder)
    return model.eval()
