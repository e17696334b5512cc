"""`vl eval`: accuracy of a run on the evaluation splits of its recipe or on a triplet file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import RecipeError
from videolatent_cli.evaluation.ablation import ABLATIONS, Ablation
from videolatent_cli.evaluation.evaluate import (
    Judged,
    accuracy,
    accuracy_by_category,
    evaluate,
)
from videolatent_cli.pipeline.models import open_model
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.pipeline.rundir import RunDir
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.feed import make_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIPLETS_AT_ONCE = 8


@dataclass(frozen=True)
class EvalReport:
    """Judged answers by split and ablation."""

    run: str
    checkpoint: str
    step: int
    results: dict[str, dict[Ablation, list[Judged]]]

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.eval/1`."""
        splits = {
            split: {
                name: {
                    "all": accuracy(judged).document(),
                    "by_category": {
                        category: found.document()
                        for category, found in accuracy_by_category(judged).items()
                    },
                }
                for name, judged in by_ablation.items()
            }
            for split, by_ablation in self.results.items()
        }
        return {
            "schema": "vl.eval/1",
            "run": self.run,
            "checkpoint": self.checkpoint,
            "step": self.step,
            "splits": splits,
        }


def parse_ablations(names: Sequence[str]) -> list[Ablation]:
    """Return ablations by name, `on` first.

    Raises:
        RecipeError: For an unknown name.
    """
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise RecipeError(f"--ablate: unknown, got {unknown}; choose of: {', '.join(ABLATIONS)}")
    return [name for name in ABLATIONS if name == "on" or name in names]


def evaluate_run(
    run: Path | None,
    cache_dir: Path,
    *,
    data: Path | None = None,
    ablations: Sequence[str] = (),
    limit: int | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> EvalReport:
    """Answer the questions of a run's evaluation splits, or of a file, and judge the answers.

    Args:
        run: Run folder; None: the newest, else the embedded model.
        cache_dir: Folder of caches.
        data: Triplets to use instead; videos lie below the file's folder.
        ablations: Ways of replacing the latents that are measured too.
        limit: Most videos of a split.
        device: A torch device, or `auto`.
        progress: Called with (what, done, total).
    """
    wanted = parse_ablations(ablations)
    trained = open_model(run, device)
    recipe = trained.checkpoint.recipe
    if data is not None:
        dataset = Dataset({data.stem: read_triplets(data)}, data.parent)
    else:
        root = RunDir(Path(trained.name)).base_dir
        dataset = recipe_dataset(recipe, root, cache_dir, progress)
        dataset = Dataset(dataset.evaluation, dataset.media_root)
    source = trained.source(FeatureCache(cache_dir))
    results = {}
    for split in dataset.splits:
        groups = make_groups(dataset, split, _TRIPLETS_AT_ONCE)[:limit]
        show = partial(progress, f"evaluate {split}")
        results[split] = evaluate(trained.model, source, groups, wanted, show)
    step = trained.checkpoint.step
    return EvalReport(trained.name, trained.checkpoint.folder.name, step, results)
