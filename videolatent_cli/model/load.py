"""Building a model from a recipe, and bringing back one from a checkpoint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from videolatent_cli.errors import EnvironmentProblemError, IncompatibleError
from videolatent_cli.model.backbone import load_backbone
from videolatent_cli.model.checkpoint import load_tensors, untrained_names
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from videolatent_cli.model.checkpoint import Checkpoint
    from videolatent_cli.recipe import Recipe


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


def build_model(recipe: Recipe, device: str = "cpu") -> VideoLatent:
    """Return the model of a recipe before training, gradients on for what is trained."""
    seed = recipe.training.seed
    backbone = load_backbone(recipe.backbone, device, seed)
    torch.manual_seed(seed)
    backbone.make_trainable(recipe.backbone)
    return VideoLatent(backbone, recipe.latent)


def sampling_of(recipe: Recipe, model: VideoLatent) -> SamplingSpec:
    """Return the sampling contract of a recipe for a model."""
    geometry = model.backbone.geometry
    return SamplingSpec.of(recipe.video, geometry.size_multiple_px, geometry.frames_per_group)


def untrained_hash(model: VideoLatent) -> str:
    """Return 16 hexadecimal digits of the backbone's parameters that a checkpoint does not hold.

    Choice: shape and 64 KiB of each end, since all bytes of a 7B model would take half a minute.
    """
    names = untrained_names(model.backbone)
    sha = hashlib.sha256()
    for name, parameter in sorted(model.backbone.named_parameters()):
        if name in names:
            flat = parameter.detach().flatten()
            ends = torch.cat((flat[:16384], flat[-16384:])).cpu().view(torch.uint8)
            sha.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
            sha.update(ends.numpy().tobytes())
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


def restore_model(checkpoint: Checkpoint, device: str = "cpu") -> VideoLatent:
    """Return the trained model of a checkpoint, ready to answer.

    Raises:
        IncompatibleError: Where the backbone is not the one that was trained on.
    """
    model = build_model(checkpoint.recipe, device)
    check_backbone(checkpoint, untrained_hash(model))
    load_tensors(model, checkpoint.model_tensors(), checkpoint.folder)
    return model.eval()
