"""`vl probe`: are the latents used, diverse, alive?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.evaluation.probe import Look, Probe, probe_model
from videolatent_cli.model.load import build_model
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.evaluate import TRIPLETS_AT_ONCE, held_out
from videolatent_cli.pipeline.evidence import evidence_sheet
from videolatent_cli.pipeline.models import TrainedModel, open_model
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.report.page import write_page
from videolatent_cli.report.probe_page import probe_blocks
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.feed import make_groups

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from videolatent_cli.data.dataset import Dataset
    from videolatent_cli.model.videolatent import VideoLatent

DEFAULT_VIDEOS = 32


@dataclass(frozen=True)
class ProbeReport:
    """What a probe found."""

    run: str
    split: str
    probe: Probe
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


def probe_run(
    run: Path | None,
    cache_dir: Path,
    *,
    data: Path | None = None,
    limit: int = DEFAULT_VIDEOS,
    page: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> ProbeReport:
    """Measure the failure modes F1 to F12 on the first evaluation split, or on a file.

    Args:
        run: Run folder; None: the newest, else the embedded model.
        cache_dir: Folder of caches.
        data: Triplets to use instead; videos lie below the file's folder.
        limit: Most videos.
        page: HTML file to write; None: `probe.html` in the run folder, if there is one.
        device: A torch device, or `auto`.
        progress: Called with (what, done, total).
    """
    trained = open_model(run, device)
    dataset = held_out(trained, data, cache_dir, progress)
    split = next(iter(dataset.splits))
    groups = make_groups(dataset, split, TRIPLETS_AT_ONCE, limit)
    cache = FeatureCache(cache_dir)
    source, blind = trained.source(cache), trained.source(cache, "nothing")
    base = _base(trained, device)
    depths = trained.checkpoint.recipe.loss.alignment_depths
    probe = probe_model(trained.model, source, blind, groups, depths, base, progress)
    page = page or (run / "probe.html" if run is not None else None)
    if page is not None:
        sheets = [_sheet(trained, dataset, look) for look in probe.looks]
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


def _sheet(trained: TrainedModel, dataset: Dataset, look: Look) -> Image.Image:
    """Return the contact sheet of one question; bars show where all latents looked together."""
    clip = Clip(dataset.path(look.triplet), look.triplet.window)
    mean = [sum(column) / len(look.attention) for column in zip(*look.attention, strict=True)]
    title = f"{look.triplet.question}\nright: {look.triplet.answer}"
    return evidence_sheet(trained, clip, title, mean)
