"""Models built from a recipe, or restored from a checkpoint."""

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
    """Return a recipe's model before training, with gradients enabled on the parts to train.

    See `load_backbone` for `unpacked`.
    """
    seed = recipe.training.seed
    backbone = load_backbone(recipe.backbone, device, seed, unpacked=unpacked)
    torch.manual_seed(seed)
    backbone.make_trainable(recipe.backbone)
    return VideoLatent(backbone, recipe.latent)


def sampling_of(recipe: Recipe, model: VideoLatent) -> SamplingSpec:
    """Return the sampling contract that a recipe's `video` section gives with a model."""
    geometry = model.backbone.geometry
    return SamplingSpec.of(
        recipe.video,
        geometry.size_multiple_px,
        geometry.frames_per_group,
        geometry.frame_size_px,
        model.backbone.resizing,
    )


def untrained_hash(model: VideoLatent) -> str:
    """Return a hash, 16 hexadecimal digits, of the backbone parameters that are not trained.

    Choice: only shape and both ends of each parameter are hashed, since all bytes of a 7B model
    would take half a minute. Values are rounded to bfloat16, so that a model trained on a GPU can
    answer on a CPU.
    """
    untrained = untrained_names(model.backbone)
    sha = hashlib.sha256()
    for name, parameter in sorted(model.backbone.named_parameters()):
        if name in untrained:
            flat = parameter.detach().flatten()
            ends = torch.cat((flat[:16384], flat[-16384:])).to(torch.bfloat16).cpu()
            sha.update(f"{name} {tuple(parameter.shape)}".encode())
            sha.update(ends.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]


def check_backbone(checkpoint: Checkpoint, backbone_hash: str) -> None:
    """Raise an error unless a backbone is the one that a checkpoint was trained on.

    Args:
        checkpoint: Checkpoint to restore.
        backbone_hash: `untrained_hash` of the loaded model.

    Raises:
        IncompatibleError: If the hashes differ.
    """
    if backbone_hash != checkpoint.backbone_hash:
        raise IncompatibleError(
            f"{checkpoint.folder}: was trained on backbone weights {checkpoint.backbone_hash}, "
            f"'{checkpoint.recipe.backbone.model}' now has {backbone_hash}; restore the old weights"
        )


def restore_model(
    checkpoint: Checkpoint, device: str = "cpu", *, unpacked: bool = False
) -> VideoLatent:
    """Return the trained model of a checkpoint, in evaluation mode.

    See `load_backbone` for `unpacked`.

    Raises:
        IncompatibleError: If the backbone is not the one that the checkpoint was trained on.
    """
    model = build_model(checkpoint.recipe, device)
    check_backbone(checkpoint, untrained_hash(model))
    # The stored hash is that of the quantized weights, so the unpacked ones need a second load.
    if unpacked and checkpoint.recipe.backbone.quantization != "none":
        model = build_model(checkpoint.recipe, device, unpacked=True)
    load_tensors(model, checkpoint.model_tensors(), checkpoint.folder)
    return model.eval()
