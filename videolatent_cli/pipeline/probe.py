"""`vl probe`: are the latents used, diverse, alive?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.evaluation.measure_latents import LatentView, ProbeResult, probe_model
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.answering.evidence import evidence_sheet
from videolatent_cli.pipeline.evaluate import TRIPLETS_AT_ONCE, held_out
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
    """What a probe found."""

    run: str
    split: str
    probe: ProbeResult
    page: Path | None
    """The HTML page, if one was written."""

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
                    "code": one.failure.code,
                    "failure": one.failure.name,
                    "measured": one.measured,
                    "alarm": one.raised,
                    "alarm_when": one.failure.alarm,
                    "remedy": one.failure.remedy,
                }
                for one in self.probe.diagnostics
            ],
            "words": self.probe.words,
        }


@dataclass(frozen=True)
class ProbeRequest:
    """Which run to probe, and on what."""

    run: Path | None = None
    """Run folder; None: the newest, else the embedded model."""
    data: Path | None = None
    """Triplets to use instead of the recipe's; videos lie below the file's folder."""
    limit: int = 32
    """Most videos."""
    page: Path | None = None
    """HTML file to write; None: `probe.html` in the run folder, if there is one."""


def probe_run(
    request: ProbeRequest, machine: Machine = Machine(), progress: Progress = silent
) -> ProbeReport:
    """Measure the failure modes F1 to F12 on the first evaluation split, or on a file.

    Args:
        request: Which run to probe, and on what.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).
    """
    run = request.run
    trained = open_model(run, machine.device)
    dataset = held_out(trained, request.data, machine.cache_dir, progress)
    split = next(iter(dataset.splits))
    groups = make_groups(dataset, split, TRIPLETS_AT_ONCE, request.limit)
    cache = FeatureCache(machine.cache_dir)
    source, blind = trained.source(cache), trained.source(cache, "none")
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
    """Return the backbone before training; None where its features would be others, or random."""
    recipe = trained.checkpoint.recipe
    if recipe.backbone.train_vision or recipe.backbone.weights == "random":
        return None
    resolved = str(trained.model.backbone.device) if device == "auto" else device
    return build_model(recipe.model_copy(update={"latent": None}), resolved).eval()


def _sheet(trained: TrainedModel, dataset: Dataset, view: LatentView) -> Image.Image:
    """Return the contact sheet of one question; bars show where all latents looked together."""
    clip = Clip(dataset.path(view.triplet), view.triplet.window)
    mean = [sum(column) / len(view.attention) for column in zip(*view.attention, strict=True)]
    title = f"{view.triplet.question}\nright: {view.triplet.answer}"
    return evidence_sheet(trained, clip, title, mean)
