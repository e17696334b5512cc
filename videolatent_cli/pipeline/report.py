"""`vl report`: write an HTML page about one run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from videolatent_cli.errors import DataError
from videolatent_cli.evaluation.evaluate import evaluate, possible_ablations
from videolatent_cli.evaluation.scorers import judge
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.generate import generate
from videolatent_cli.pipeline.answering.evidence import (
    evidence_sheet,
    group_weights,
    moments,
)
from videolatent_cli.pipeline.evaluate import TRIPLETS_AT_ONCE, held_out, readable_groups
from videolatent_cli.pipeline.runs.run_dir import RunDir, run_details
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.report.page import write_page
from videolatent_cli.report.run_page import Sample, run_blocks
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.groups import Group, collate_groups, make_groups

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from videolatent_cli.model.source import VideoSource

_NUM_EVIDENCE = 2
"""Number of evidence moments marked per sample question."""


@dataclass(frozen=True)
class ReportRequest:
    """Run to report on, and the contents of its page."""

    run: Path
    """Run folder."""
    page: Path
    """HTML file to write."""
    data: Path | None = None
    """Triplet file to use instead of the recipe's; video paths are relative to its folder."""
    limit: int = 32
    """Maximum number of videos to evaluate."""
    samples: int = 4
    """Number of questions to show with their evidence."""


def report_run(
    request: ReportRequest, machine: Machine = Machine(), progress: Progress = silent
) -> Path:
    """Write the page of a run and return its path.

    Args:
        request: The run, and the contents of the page.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).

    Raises:
        SetupError: If the folder is not a run, or has no checkpoint.
        DataError: If no video can be read.
    """
    details = run_details(request.run)
    trained = open_model(request.run, machine.device)
    dataset = held_out(trained, request.data, machine.cache_dir, progress)
    split = next(iter(dataset.splits))
    source = trained.source(FeatureCache(machine.cache_dir))
    wanted = make_groups(dataset, split, TRIPLETS_AT_ONCE, request.limit)
    groups, _ = readable_groups(source, wanted, progress)
    if not groups:
        raise DataError(f"{split}: no video can be read; run 'vl data check' for the list")
    ablations = possible_ablations(trained.model)
    show = partial(progress, f"evaluate {split}")
    judged = evaluate(trained.model, source, groups, ablations, show)
    chosen = _one_per_video(groups, request.samples)
    samples = [_sample(trained, source, group) for group in chosen]
    run = RunDir(request.run)
    recipe = (request.run / "recipe.yaml").read_text(encoding="utf-8")
    blocks = run_blocks(details, recipe, list(run.read_log()), split, judged, samples)
    write_page(request.page, f"Run {request.run}", blocks)
    return request.page


def _one_per_video(groups: Sequence[Group], count: int) -> list[Group]:
    """Return one question per video for some videos: the one with the most hops."""
    chosen = list({group.clip: group for group in groups}.values())[:count]
    return [
        Group(group.clip, (max(group.triplets, key=lambda t: int(t.meta.get("hops", 0))),))
        for group in chosen
    ]


def _sample(trained: TrainedModel, source: VideoSource, group: Group) -> Sample:
    """Answer one question, and return it with a contact sheet that marks the evidence."""
    model, (triplet,) = trained.model, group.triplets
    prompter = Prompter(model.backbone)
    batch = collate_groups([group], source, prompter).to(model.backbone.device)
    out = generate(model, batch, prompter.end_of_turn)
    (features,) = source.features([group.clip])
    weights = group_weights(out, features) or []
    evidence = moments(group.clip, features, weights, _NUM_EVIDENCE)
    answer = prompter.decode(out.token_ids[0])
    verdict = judge(triplet, answer)
    title = f"{triplet.question}\n{answer} ({verdict}; right: {triplet.answer})"
    sheet = evidence_sheet(trained, group.clip, title, weights, evidence)
    return Sample(triplet.question, answer, triplet.answer, verdict, sheet)
