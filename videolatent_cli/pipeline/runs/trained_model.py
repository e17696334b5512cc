"""Which trained model a command uses, and its videos."""

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
"""The embedded backbone after training on questions: what answers where no run is at hand."""
EMBEDDED_NAME = "embedded"


@dataclass(frozen=True)
class TrainedModel:
    """A model that can answer, and where it comes from."""

    model: VideoLatent
    checkpoint: Checkpoint
    name: str
    """Run folder, or `EMBEDDED_NAME`."""

    @property
    def embedded_backbone(self) -> bool:
        """Whether it knows only what the embedded backbone can know."""
        return self.checkpoint.recipe.backbone.model == "tiny"

    def source(
        self, cache: FeatureCache | None = None, visible: Visible | None = None
    ) -> VideoSource:
        """Return the source of videos under this model's contract; `seen` replaces the recipe's."""
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
    """Return the checkpoint to use: of a run, else the newest run's, else the embedded one.

    Raises:
        SetupError: Where the run has no checkpoint.
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
    """Return a trained model, its sampling contract checked.

    Raises:
        IncompatibleError: Where this version would sample videos differently.
    """
    checkpoint, name = find_model(run)
    model = restore_model(checkpoint, check_device(device))
    now = sampling_of(checkpoint.recipe, model)
    if now != checkpoint.sampling:
        raise IncompatibleError(
            f"{checkpoint.folder}: was trained with sampling {checkpoint.sampling.hash}, this "
            f"version samples with {now.hash} ({checkpoint.sampling.difference(now)}); train again"
        )
    return TrainedModel(model, checkpoint, name)


def open_worker_model(name: str, fingerprint: str, device: str) -> TrainedModel:
    """Return the model that another process calls by a name, if it makes the same features here.

    Raises:
        IncompatibleError: Where this machine computes with another type of number.
    """
    trained = open_model(EMBEDDED if name == EMBEDDED_NAME else Path(name), device)
    found = trained.source().fingerprint
    if found != fingerprint:
        raise IncompatibleError(
            f"{name}: a worker would make other features than are wanted ({found}, not "
            f"{fingerprint}); give --device, or backbone.dtype in the recipe of the run"
        )
    return replace(trained, name=name)
