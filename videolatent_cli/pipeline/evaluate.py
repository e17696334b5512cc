"""`vl eval`: measure the accuracy of a run on its recipe's evaluation splits or on a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import DataError, UsageError
from videolatent_cli.evaluation.ablation import ABLATIONS, Ablation
from videolatent_cli.evaluation.evaluate import (
    Judged,
    accuracy,
    by_category,
    difference,
    evaluate,
    unanswered,
)
from videolatent_cli.evaluation.scorers import INTERVAL_IOU, check_right_answers
from videolatent_cli.pipeline.prepare import recipe_dataset, unreadable_clips
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.recipe.data_schema import EventWorldData, EventWorldStreamData
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.groups import Group, make_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.data.triplets import Triplet
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.recipe import Recipe

TRIPLETS_AT_ONCE = 8
"""Maximum number of questions about one video that are answered together."""


@dataclass(frozen=True)
class FailedQuestion:
    """Question about a video that cannot be read."""

    triplet: Triplet
    reason: str
    """Reason why the video cannot be read, in one line."""


@dataclass(frozen=True)
class EvalReport:
    """Judged answers of one run."""

    run: str
    """Run folder, or the name of the embedded model."""
    checkpoint: str
    """Name of the checkpoint's folder."""
    step: int
    """Training step of the checkpoint."""
    results: dict[str, dict[Ablation, list[Judged]]]
    """Judged answers by split and ablation; `on` is the model with its own latents. Questions about
    unreadable videos come last, unless the recipe's `data.on_bad` leaves them out."""
    failed: dict[str, list[FailedQuestion]] = field(default_factory=dict)
    """Questions about unreadable videos, by split."""
    leaves_out: bool = False
    """Whether these questions are left out of the results, rather than counted as not right."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.eval/1`."""
        return {
            "schema": "vl.eval/1",
            "run": self.run,
            "checkpoint": self.checkpoint,
            "step": self.step,
            "interval_iou": INTERVAL_IOU,
            "failed": [
                {
                    "split": split,
                    "id": failed.triplet.id,
                    "video": failed.triplet.video,
                    "reason": failed.reason,
                }
                for split, questions in self.failed.items()
                for failed in questions
            ],
            "splits": {
                split: {
                    name: _ablation_document(judged, None if name == "on" else by_ablation["on"])
                    for name, judged in by_ablation.items()
                }
                for split, by_ablation in self.results.items()
            },
        }


def _ablation_document(judged: list[Judged], base: list[Judged] | None) -> dict[str, Any]:
    """Return all numbers of one ablation, and each of its answers.

    Args:
        judged: Answers under the ablation.
        base: Answers of the unchanged model to the same questions, to compare with; None: `judged`
            are its answers.
    """
    groups = by_category(judged)
    return {
        "all": _numbers(judged, base),
        "by_category": {
            name: _numbers(
                [judged[i] for i in rows], None if base is None else [base[i] for i in rows]
            )
            for name, rows in groups.items()
        },
        "answers": [
            {
                "id": answer.triplet.id,
                "video": answer.triplet.video,
                "category": answer.triplet.category,
                "answer": answer.answer,
                "verdict": answer.verdict,
                "right": answer.right,
            }
            for answer in judged
        ],
    }


def _numbers(judged: list[Judged], base: list[Judged] | None) -> dict[str, Any]:
    """Return accuracy and counts; for an ablation also the change against the unchanged model."""
    numbers: dict[str, Any] = {
        **accuracy(judged).document(),
        "strict": sum(answer.strict for answer in judged),
        "unparsed": sum(answer.verdict == "unparsed" for answer in judged),
        "failed": sum(answer.verdict == "failed" for answer in judged),
    }
    if base is not None:
        numbers["drop"] = difference(base, judged).document()
        answered = len(judged) - numbers["failed"]
        numbers["answer_kl"] = sum(answer.answer_kl for answer in judged) / max(1, answered)
    return numbers


def parse_ablations(names: Sequence[str]) -> list[Ablation]:
    """Return the named ablations in their fixed order; `on`, the unchanged model, is always first.

    Raises:
        UsageError: For an unknown name.
    """
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise UsageError(f"--ablate: unknown, got {unknown}; choose from: {', '.join(ABLATIONS)}")
    return [name for name in ABLATIONS if name == "on" or name in names]


@dataclass(frozen=True)
class EvalRequest:
    """Run to evaluate, and the data and ablations to use."""

    run: Path | None = None
    """Run folder; None: the newest, or the embedded model if there is none."""
    data: Path | None = None
    """Triplet file to use instead of the recipe's; video paths are relative to its folder."""
    ablations: Sequence[str] = ()
    """Names of further ablations to measure, which remove or replace the latents."""
    limit: int | None = None
    """Maximum number of videos per split; None: all."""
    max_new_tokens: int | None = None
    """Maximum number of tokens per answer; None: 32, or 128 for a run trained on rationales."""


def evaluate_run(
    request: EvalRequest, machine: Machine = Machine(), progress: Progress = silent
) -> EvalReport:
    """Answer the questions of a run's evaluation splits, or of a file, and judge the answers.

    Args:
        request: The run to evaluate, the data and the ablations.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).
    """
    wanted = parse_ablations(request.ablations)
    trained = open_model(request.run, machine.device)
    dataset = held_out(trained, request.data, machine.cache_dir, progress)
    writes_rationale = trained.checkpoint.recipe.writes_rationale
    return evaluate_model(
        trained,
        dataset,
        wanted,
        machine.cache_dir,
        progress,
        limit=request.limit,
        max_new_tokens=request.max_new_tokens or (128 if writes_rationale else 32),
    )


def evaluate_model(
    trained: TrainedModel,
    dataset: Dataset,
    ablations: Sequence[Ablation],
    cache_dir: Path,
    progress: Progress = silent,
    *,
    limit: int | None = None,
    max_new_tokens: int = 32,
) -> EvalReport:
    """Answer the questions of all splits of a data set with an open model, and judge the answers.

    A video that cannot be read does not end the evaluation. With the recipe's `data.on_bad: fail`,
    questions about it count as not right, so that the number of questions stays what it is. With
    `skip` they are left out, as in training.

    Args:
        trained: The model.
        dataset: Data set of which all splits are evaluated.
        ablations: `on`, and the ablations that remove or replace the latents.
        cache_dir: Folder of caches.
        progress: Called with (what, done, total).
        limit: Maximum number of videos per split; None: all.
        max_new_tokens: Maximum number of tokens per answer.

    Raises:
        DataError: If a right answer cannot be read, or if more videos cannot be read than
            `data.on_bad: skip` may leave out.
    """
    source = trained.source(FeatureCache(cache_dir))
    recipe = trained.checkpoint.recipe
    groups, failed = {}, {}
    check_right_answers([triplet for split in dataset.splits.values() for triplet in split])
    for split in dataset.splits:
        wanted = make_groups(dataset, split, TRIPLETS_AT_ONCE, limit)
        groups[split], failed[split] = readable_groups(source, wanted, progress)
        if _leaves_out(recipe):
            _check_left_out(recipe, wanted, failed[split])
    results = {}
    for split, readable in groups.items():
        show = partial(progress, f"evaluate {split}")
        results[split] = evaluate(
            trained.model, source, readable, ablations, show, max_new_tokens=max_new_tokens
        )
        if not _leaves_out(recipe):
            for judged in results[split].values():
                judged += [unanswered(question.triplet) for question in failed[split]]
    return EvalReport(
        trained.name,
        trained.checkpoint.folder.name,
        trained.checkpoint.step,
        results,
        {split: questions for split, questions in failed.items() if questions},
        _leaves_out(recipe),
    )


def readable_groups(
    source: VideoSource, groups: Sequence[Group], progress: Progress = silent
) -> tuple[list[Group], list[FailedQuestion]]:
    """Return the groups of questions whose videos can be read, and the other questions.

    Features that the cache lacks are added to it, so that a second run reads them. Each video that
    cannot be read is logged once.
    """
    reasons = unreadable_clips(source, [group.clip for group in groups], progress)
    for reason in dict.fromkeys(reasons.values()):
        logger.warning("no answer: {}", reason)
    failed = [
        FailedQuestion(triplet, reasons[group.clip])
        for group in groups
        if group.clip in reasons
        for triplet in group.triplets
    ]
    return [group for group in groups if group.clip not in reasons], failed


def _leaves_out(recipe: Recipe) -> bool:
    """Whether questions about unreadable videos are left out, rather than counted as not right."""
    return not isinstance(recipe.data, EventWorldStreamData) and recipe.data.on_bad == "skip"


def _check_left_out(
    recipe: Recipe, groups: Sequence[Group], failed: Sequence[FailedQuestion]
) -> None:
    """Raise if more videos of a split are left out than the recipe allows."""
    assert not isinstance(recipe.data, EventWorldStreamData)
    limit = recipe.data.max_bad_fraction
    bad = len({question.triplet.video for question in failed})
    total = len({group.clip.path for group in groups})
    if bad > limit * total or bad == total:
        raise DataError(
            f"{bad} of {total} videos cannot be read, data.max_bad_fraction allows {limit:g}; "
            "run 'vl data check' for the list"
        )


def held_out(
    trained: TrainedModel, data: Path | None, cache_dir: Path, progress: Progress = silent
) -> Dataset:
    """Return the evaluation splits of a run's recipe, or the triplets of a file."""
    if data is not None:
        return Dataset({data.stem: read_triplets(data)}, data.parent)
    recipe, root = trained.checkpoint.recipe, RunDir(Path(trained.name)).base_dir
    # A missing file of one's own is found later, and costs only the questions about it.
    is_rendered = isinstance(recipe.data, EventWorldData)
    dataset = recipe_dataset(recipe, root, cache_dir, progress, check_files=is_rendered)
    return Dataset(dataset.evaluation, dataset.media_root)
