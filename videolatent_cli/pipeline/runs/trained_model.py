"""Trained models: the choice of the model that a command uses, and its video source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import IncompatibleError, SetupError
from videolatent_cli.model.backbones.load import check_device
from videolatent_cli.model.backbones.tiny import TINY_FOLDER
from videolatent_cli.model.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from videolatent_cli.model.load import restore_model, sampling_of
from videolatent_cli.model.source import VideoSource
from videolatent_cli.pipeline.runs.run_dir import newest_run

if TYPE_CHECKING:
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe.data_schema import Visible
    from videolatent_cli.store import FeatureCache

EMBEDDED = TINY_FOLDER.parent / "tiny_answers"
"""Folder of the embedded model: the embedded backbone, trained to answer EventWorld questions.
Commands use it if there is no run."""
EMBEDDED_NAME = "embedded"
"""Name of the embedded model in reports and answers."""


@dataclass(frozen=True)
class TrainedModel:
    """Model that can answer questions, with the checkpoint that it was loaded from."""

    model: VideoLatent
    checkpoint: Checkpoint
    name: str
    """Run folder, or `EMBEDDED_NAME`."""

    @property
    def embedded_backbone(self) -> bool:
        """Whether the model is built on the embedded backbone, which knows only EventWorld."""
        return self.checkpoint.recipe.backbone.model == "tiny"

    def source(
        self, cache: FeatureCache | None = None, visible: Visible | None = None
    ) -> VideoSource:
        """Return a video source with this model's sampling contract.

        Args:
            cache: Cache to read from and write to; None: no cache.
            visible: Part of each video that the model may see; None: as in the recipe.
        """
        recipe = self.checkpoint.recipe
        return VideoSource(
            self.model.backbone,
            self.checkpoint.sampling,
            tier="features" if recipe.cache.tier == "none" else recipe.cache.tier,
            cache=cache,
            timeout_seconds=recipe.video.timeout_seconds,
            visible=visible or recipe.visible,
        )


def find_model(run: Path | None) -> tuple[Checkpoint, str]:
    """Return the checkpoint to use, and the name of its model.

    It is the newest checkpoint of `run`. If `run` is None, it is that of the newest run, or the
    embedded model's if there is no run.

    Raises:
        SetupError: If the run has no checkpoint.
    """
    folder = run or newest_run()
    if folder is None:
        return read_checkpoint(EMBEDDED), EMBEDDED_NAME
    checkpoint = find_checkpoint(folder)
    if checkpoint is None:
        raise SetupError(
            f"{folder}: holds no checkpoint; train it with: vl train RECIPE --run-dir {folder}"
        )
    return checkpoint, str(folder)


def open_model(run: Path | None, device: str = "auto") -> TrainedModel:
    """Return the model of a run (see `find_model`), after checking its sampling contract.

    Raises:
        SetupError: If the run has no checkpoint.
        IncompatibleError: If this version of the program would sample videos differently.
    """
    checkpoint, name = find_model(run)
    model = restore_model(checkpoint, check_device(device))
    current = sampling_of(checkpoint.recipe, model)
    if current != checkpoint.sampling:
        raise IncompatibleError(
            f"{checkpoint.folder}: was trained with sampling {checkpoint.sampling.hash}, this "
            f"version samples with {current.hash} ({checkpoint.sampling.difference(current)}); "
            "train again"
        )
    return TrainedModel(model, checkpoint, name)


def open_worker_model(name: str, fingerprint: str, device: str) -> TrainedModel:
    """Return, in a worker, the model that the main process knows by a name.

    Args:
        name: Run folder, or `EMBEDDED_NAME`.
        fingerprint: Fingerprint of the main process's features; the worker's must be equal.
        device: Torch device.

    Raises:
        IncompatibleError: If the features would differ, for instance in their type of number.
    """
    trained = open_model(EMBEDDED if name == EMBEDDED_NAME else Path(name), device)
    own = trained.source().fingerprint
    if own != fingerprint:
        raise IncompatibleError(
            f"{name}: a worker would compute other features than the main process (fingerprint "
            f"{own}, not {fingerprint}); set --device, or backbone.dtype in the run's recipe"
        )
    return replace(trained, name=name)
