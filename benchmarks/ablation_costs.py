"""What a step of each row of the grid costs, all rows in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ablation_cells import recipe_of
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.prepare import prepare
from videolatent_cli.recipe import load_recipe
from videolatent_cli.training.feed import TripletFeed
from videolatent_cli.training.loop import StepResult, train_steps
from videolatent_cli.training.optimizer import make_optimizer, make_schedule
from videolatent_cli.training.step import SelfForcing

STEPS = 24


def step_seconds(rows: list[str], preset: str) -> dict[str, float]:
    """Return the CPU seconds of a step of each row, mean over a training of 24 steps.

    The rows take turns; so short a training goes through the whole schedule of the objectives.
    """
    spent = dict.fromkeys(rows, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        steps = {row: _steps(row, preset, Path(folder)) for row in rows}
        for done in range(STEPS):
            for row, going in steps.items():
                started = time.process_time()
                next(going)
                spent[row] += time.process_time() - started if done else 0.0  # the first warms up
        for going in steps.values():
            assert next(going, None) is None
    return {row: seconds / (STEPS - 1) for row, seconds in spent.items()}


def _steps(row: str, preset: str, folder: Path) -> Iterator[StepResult]:
    """Train a row on a few videos."""
    path, _, overrides = recipe_of(row, preset, 0)
    few = ["data.num_videos=8", "data.num_eval_videos=1", f"training.max_steps={STEPS}"]
    recipe = load_recipe(path, [*overrides, *few])
    model = build_model(recipe)
    prepared, _ = prepare(recipe, model, folder, folder)
    module = SelfForcing(model, recipe)
    return train_steps(
        module,
        make_optimizer(module, recipe.training),
        make_schedule(recipe.training, STEPS),
        TripletFeed(prepared.dataset, prepared.source, recipe.training, live_frames=False),
        recipe.training,
        first_step=0,
        total_steps=STEPS,
    )
