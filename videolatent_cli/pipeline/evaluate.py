"""`vl eval`: accuracy of a run on the evaluation splits of its recipe or on a triplet file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import UsageError
from videolatent_cli.evaluation.ablation import ABLATIONS, Ablation
from videolatent_cli.evaluation.evaluate import (
    Judged,
    accuracy,
    by_category,
    difference,
    evaluate,
)
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.groups import make_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

TRIPLETS_AT_ONCE = 8


@dataclass(frozen=True)
class EvalReport:
    """Judged answers by split and ablation."""

    run: str
    checkpoint: str
    step: int
    results: dict[str, dict[Ablation, list[Judged]]]

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.eval/1`."""
        return {
            "schema": "vl.eval/1",
            "run": self.run,
            "checkpoint": self.checkpoint,
            "step": self.step,
            "splits": {
                split: {
                    name: _ablation_document(judged, found["on"], own=name == "on")
                    for name, judged in found.items()
                }
                for split, found in self.results.items()
            },
        }


def _ablation_document(judged: list[Judged], base: list[Judged], *, own: bool) -> dict[str, Any]:
    """Return all numbers of one ablation, and each of its answers."""
    groups = by_category(judged)
    return {
        "all": _numbers(judged, None if own else base),
        "by_category": {
            name: _numbers([judged[i] for i in found], None if own else [base[i] for i in found])
            for name, found in groups.items()
        },
        "answers": [
            {
                "id": one.triplet.id,
                "video": one.triplet.video,
                "category": one.triplet.category,
                "answer": one.answer,
                "right": one.right,
            }
            for one in judged
        ],
    }


def _numbers(judged: list[Judged], base: list[Judged] | None) -> dict[str, Any]:
    """Return accuracy and counts; under an ablation also what it cost against the model itself."""
    found: dict[str, Any] = {
        **accuracy(judged).document(),
        "strict": sum(one.strict for one in judged),
        "unparsed": sum(one.verdict == "unparsed" for one in judged),
    }
    if base is not None:
        found["drop"] = difference(base, judged).document()
        found["answer_kl"] = sum(one.answer_kl for one in judged) / len(judged)
    return found


def parse_ablations(names: Sequence[str]) -> list[Ablation]:
    """Return ablations by name, `on` first.

    Raises:
        UsageError: For an unknown name.
    """
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise UsageError(f"--ablate: unknown, got {unknown}; choose of: {', '.join(ABLATIONS)}")
    return [name for name in ABLATIONS if name == "on" or name in names]


@dataclass(frozen=True)
class EvalRequest:
    """What `vl eval` is asked for."""

    run: Path | None = None
    """Run folder; None: the newest, else the embedded model."""
    data: Path | None = None
    """Triplets to use instead of the recipe's; videos lie below the file's folder."""
    ablations: Sequence[str] = ()
    """Ways of replacing the latents that are measured too."""
    limit: int | None = None
    """Most videos of a split."""
    max_new_tokens: int | None = None
    """Longest answer; None: 32, or 128 where the run was trained on rationales."""


def evaluate_run(
    request: EvalRequest, machine: Machine = Machine(), progress: Progress = silent
) -> EvalReport:
    """Answer the questions of a run's evaluation splits, or of a file, and judge the answers.

    Args:
        request: What to evaluate.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).
    """
    wanted = parse_ablations(request.ablations)
    trained = open_model(request.run, machine.device)
    dataset = held_out(trained, request.data, machine.cache_dir, progress)
    rationale = trained.checkpoint.recipe.writes_rationale
    longest = request.max_new_tokens or (128 if rationale else 32)
    return evaluate_model(
        trained,
        dataset,
        wanted,
        machine.cache_dir,
        progress,
        limit=request.limit,
        max_new_tokens=longest,
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

    Args:
        trained: The model.
        dataset: Its splits are evaluated, all of them.
        ablations: `on`, and ways of replacing the latents.
        cache_dir: Folder of caches.
        progress: Called with (what, done, total).
        limit: Most videos of a split.
        max_new_tokens: Longest answer.
    """
    source = trained.source(FeatureCache(cache_dir))
    results = {}
    for split in dataset.splits:
        groups = make_groups(dataset, split, TRIPLETS_AT_ONCE, limit)
        show = partial(progress, f"evaluate {split}")
        results[split] = evaluate(
            trained.model, source, groups, ablations, show, max_new_tokens=max_new_tokens
        )
    step = trained.checkpoint.step
    return EvalReport(trained.name, trained.checkpoint.folder.name, step, results)


def held_out(
    trained: TrainedModel, data: Path | None, cache_dir: Path, progress: Progress = silent
) -> Dataset:
    """Return the evaluation splits of a run's recipe, or the triplets of a file."""
    if data is not None:
        return Dataset({data.stem: read_triplets(data)}, data.parent)
    root = RunDir(Path(trained.name)).base_dir
    dataset = recipe_dataset(trained.checkpoint.recipe, root, cache_dir, progress)
    return Dataset(dataset.evaluation, dataset.media_root)
