"""Build a model from a recipe, or restore one from a checkpoint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from videolatent_cli.errors import IncompatibleError
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.checkpoint import load_tensors, untrained_names
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from videolatent_cli.model.checkpoint import Checkpoint
    from videolatent_cli.recipe import Recipe


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
