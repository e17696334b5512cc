"""Which trained model a command uses, and its videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import EnvironmentProblemError, IncompatibleError
from videolatent_cli.model.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from videolatent_cli.model.load import check_device, restore_model, sampling_of
from videolatent_cli.model.source import VideoSource
from videolatent_cli.model.tiny import TINY_FOLDER
from videolatent_cli.pipeline.rundir import newest_run

if TYPE_CHECKING:
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe.data_schema import Seen
    from videolatent_cli.store import FeatureCache

EMBEDDED = TINY_FOLDER.parent / "tiny_answers"
"""The embedded backbone after training on questions: what answers where no run is at hand."""


@dataclass(frozen=True)
class TrainedModel:
    """A model that can answer, and where it comes from."""

    model: VideoLatent
    checkpoint: Checkpoint
    name: str
    """Run folder, or `embedded`."""

    @property
    def embedded_backbone(self) -> bool:
        """Whether it knows only what the embedded backbone can know."""
        return self.checkpoint.recipe.backbone.model == "tiny"

    def source(self, cache: FeatureCache | None = None, seen: Seen | None = None) -> VideoSource:
        """Return the source of videos under this model's contract; `seen` replaces the recipe's."""
        recipe = self.checkpoint.recipe
        return VideoSource(
            self.model.backbone,
            self.checkpoint.sampling,
            tier="features" if recipe.cache.tier == "none" else recipe.cache.tier,
            cache=cache,
            timeout_seconds=recipe.video.timeout_seconds,
            seen=seen or recipe.seen,
        )


def find_model(run: Path | None) -> tuple[Checkpoint, str]:
    """Return the checkpoint to use: of a run, else the newest run's, else the embedded one.

    Raises:
        EnvironmentProblemError: Where the run has no checkpoint.
    """
    folder = run or newest_run()
    if folder is None:
        return read_checkpoint(EMBEDDED), "embedded"
    checkpoint = find_checkpoint(folder)
    if checkpoint is None:
        raise EnvironmentProblemError(
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
