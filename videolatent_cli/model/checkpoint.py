"""Checkpoints: only what was trained, self-contained, written atomically and verified."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from videolatent_cli.errors import IncompatibleError
from videolatent_cli.recipe import stored_recipe, write_json
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from videolatent_cli.recipe import Recipe

SCHEMA = "vl.checkpoint/1"
MODEL_FILE, ABOUT_FILE = "model.safetensors", "checkpoint.json"
LATENT_FILE = "latent.safetensors"
"""Trained parameters where the folder is a whole model, as `vl export` writes it."""
HERE = "."
"""Backbone of a checkpoint whose folder is the model itself."""
_TRAINING = "training.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk, without its tensors."""

    folder: Path
    step: int
    total_steps: int
    recipe: Recipe
    sampling: SamplingSpec
    backbone_hash: str
    """Of the parameters that the checkpoint does not hold."""
    weights_file: str = MODEL_FILE
    """File of the trained parameters."""

    @property
    def finished(self) -> bool:
        """Whether training was complete."""
        return self.step >= self.total_steps

    def model_tensors(self) -> dict[str, Tensor]:
        """Return the trained parameters by name."""
        return _read(self.folder / self.weights_file)

    def training_tensors(self) -> dict[str, Tensor]:
        """Return the state of optimizer and objectives."""
        return _read(self.folder / _TRAINING)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what is trained of a model, by name."""
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def untrained_names(module: nn.Module) -> set[str]:
    """Return the names of the parameters that a checkpoint does not hold."""
    return {n for n, p in module.named_parameters() if not p.requires_grad}


def checkpoint_name(step: int) -> str:
    """Return the name of a checkpoint's folder."""
    return f"step-{step:07d}"


def save_checkpoint(
    root: Path,
    checkpoint: dict[str, Any],
    model: dict[str, Tensor],
    training: dict[str, Tensor],
) -> Path:
    """Write `root/step-NNNNNNN`, read it back, and only then remove older checkpoints.

    Args:
        root: The run's `checkpoints` folder.
        checkpoint: Values of `checkpoint.json`; holds `step`.
        model: Trained parameters.
        training: State of optimizer and objectives.
    """
    final = root / checkpoint_name(checkpoint["step"])
    part = root / f"{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, tensors in ((MODEL_FILE, model), (_TRAINING, training)):
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        save_file(plain, part / name)
        back = _read(part / name)
        if any(not torch.equal(back[key], value) for key, value in plain.items()):
            raise IncompatibleError(f"{part / name}: does not read back as written; check the disk")
    write_json(part / ABOUT_FILE, {"schema": SCHEMA, **checkpoint})
    if final.exists():
        shutil.rmtree(final)
    part.rename(final)
    for old in root.glob("step-*"):
        if old != final:
            shutil.rmtree(old)
    return final


def describe_checkpoint(
    step: int, total_steps: int, recipe: Recipe, sampling: SamplingSpec, backbone_hash: str
) -> dict[str, Any]:
    """Return the values of `checkpoint.json`."""
    return {
        "step": step,
        "total_steps": total_steps,
        "recipe": recipe.model_dump(mode="json"),
        "sampling": asdict(sampling),
        "backbone_hash": backbone_hash,
    }


def find_checkpoint(run_dir: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint of a run, or an exported folder; None without any.

    Raises:
        IncompatibleError: For a checkpoint of another schema.
    """
    if (run_dir / ABOUT_FILE).exists():
        return read_checkpoint(run_dir)
    folders = sorted((run_dir / "checkpoints").glob("step-*[0-9]"))
    return read_checkpoint(folders[-1]) if folders else None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in a folder.

    Raises:
        IncompatibleError: Where it is damaged or of another schema.
    """
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise IncompatibleError(f"{folder}: not a checkpoint, got {error}") from None
    if about.get("schema") != SCHEMA:
        raise IncompatibleError(
            f"{folder}: checkpoint schema must be {SCHEMA}, got {about.get('schema')}; "
            "train again with this version"
        )
    if about["recipe"]["backbone"]["model"] == HERE:
        about["recipe"]["backbone"]["model"] = str(folder)
    return Checkpoint(
        folder,
        about["step"],
        about["total_steps"],
        stored_recipe(about["recipe"]),
        SamplingSpec.from_json(about["sampling"]),
        about["backbone_hash"],
        about.get("weights_file", MODEL_FILE),
    )


def load_tensors(module: nn.Module, tensors: dict[str, Tensor], where: Path) -> None:
    """Put named tensors into a module's parameters and buffers.

    Raises:
        IncompatibleError: Where names or shapes do not fit.
    """
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    wanted = trained_tensors(module).keys() if tensors else set()
    missing = sorted(set(wanted) - tensors.keys())
    strange = sorted(tensors.keys() - own.keys())
    if missing or strange:
        raise IncompatibleError(
            f"{where}: does not fit this model: missing {missing[:3]}, unexpected {strange[:3]}"
        )
    with torch.no_grad():
        for name, value in tensors.items():
            if own[name].shape != value.shape:
                raise IncompatibleError(
                    f"{where}: {name} must have shape {tuple(own[name].shape)}, "
                    f"got {tuple(value.shape)}"
                )
            own[name].copy_(value)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise IncompatibleError(f"{path}: cannot be read, got {error}") from None
