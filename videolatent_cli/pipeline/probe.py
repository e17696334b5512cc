"""`vl probe`: check a run's latents for the known failure modes F1 to F12."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.errors import DataError
from videolatent_cli.evaluation.measure_latents import LatentView, ProbeResult, probe_model
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.answering.evidence import evidence_sheet
from videolatent_cli.pipeline.evaluate import TRIPLETS_AT_ONCE, held_out, readable_groups
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.report.page import write_page
from videolatent_cli.report.probe_page import probe_blocks
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.groups import make_groups
from videolatent_cli.video.clip import Clip

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from videolatent_cli.data.dataset import Dataset
    from videolatent_cli.model.videolatent import VideoLatent


@dataclass(frozen=True)
class ProbeReport:
    """Measurements of a probe, and the page that shows them."""

    run: str
    """Run folder, or the name of the embedded model."""
    split: str
    """Name of the split that was used."""
    probe: ProbeResult
    """Measurements and judged answers."""
    page: Path | None
    """HTML page that was written; None: none was."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.probe/1`."""
        return {
            "schema": "vl.probe/1",
            "run": self.run,
            "split": self.split,
            "questions": len(self.probe.judged["on"]),
            "measured": self.probe.measured,
            "diagnostics": [
                {
                    "code": diagnostic.failure.code,
                    "failure": diagnostic.failure.name,
                    "measured": diagnostic.measured,
                    "alarm": diagnostic.raised,
                    "alarm_when": diagnostic.failure.alarm,
                    "remedy": diagnostic.failure.remedy,
                }
                for diagnostic in self.probe.diagnostics
            ],
            "words": self.probe.words,
        }


@dataclass(frozen=True)
class ProbeRequest:
    """Run to probe, and the data to probe it on."""

    run: Path | None = None
    """Run folder; None: the newest, or the embedded model if there is none."""
    data: Path | None = None
    """Triplet file to use instead of the recipe's; video paths are relative to its folder."""
    limit: int = 32
    """Maximum number of videos."""
    page: Path | None = None
    """HTML file to write; None: `probe.html` in `run`, or no page if `run` is None."""


def probe_run(
    request: ProbeRequest, machine: Machine = Machine(), progress: Progress = silent
) -> ProbeReport:
    """Measure the failure modes F1 to F12 on the first evaluation split, or on a file.

    Args:
        request: The run to probe, and the data.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).

    Raises:
        DataError: If there are fewer than two questions to compare.
    """
    run = request.run
    trained = open_model(run, machine.device)
    dataset = held_out(trained, request.data, machine.cache_dir, progress)
    split = next(iter(dataset.splits))
    cache = FeatureCache(machine.cache_dir)
    source, blind = trained.source(cache), trained.source(cache, "none")
    wanted = make_groups(dataset, split, TRIPLETS_AT_ONCE, request.limit)
    groups, _ = readable_groups(source, wanted, progress)
    count = sum(len(group.triplets) for group in groups)
    if count < 2:
        has = "one question" if count else "no question about a readable video"
        raise DataError(f"{split}: has {has}, but a probe compares questions; add another")
    base = _base(trained, machine.device)
    depths = trained.checkpoint.recipe.loss.alignment_depths
    probe = probe_model(trained.model, source, blind, groups, depths, base, progress)
    page = request.page or (run / "probe.html" if run is not None else None)
    if page is not None:
        sheets = [_sheet(trained, dataset, view) for view in probe.views]
        title = f"{trained.name} on {split}: {len(probe.judged['on'])} questions"
        write_page(page, f"Probe of {title}", probe_blocks(probe, sheets))
    return ProbeReport(trained.name, split, probe, page)


def _base(trained: TrainedModel, device: str) -> VideoLatent | None:
    """Return the backbone before training; None if it was random or has another vision tower."""
    recipe = trained.checkpoint.recipe
    if recipe.backbone.train_vision or recipe.backbone.weights == "random":
        return None
    resolved = str(trained.model.backbone.device) if device == "auto" else device
    return build_model(recipe.model_copy(update={"latent": None}), resolved).eval()


def _sheet(trained: TrainedModel, dataset: Dataset, view: LatentView) -> Image.Image:
    """Return the contact sheet of one question; its bars show the mean attention of all latents."""
    clip = Clip(dataset.path(view.triplet), view.triplet.window)
    # (latent, group) -> (group,)
    mean = [sum(column) / len(view.attention) for column in zip(*view.attention, strict=True)]
    title = f"{view.triplet.question}\nright: {view.triplet.answer}"
    return evidence_sheet(trained, clip, title, mean)
