"""Cost of a training step and of an answer for each row of the grid."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from transformers import AutoTokenizer

from benchmarks.ablation.cells import recipe_of
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.data.triplets import with_rationale
from videolatent_cli.model.backbones.tiny import TINY_FOLDER
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.prepare import prepare
from videolatent_cli.recipe import load_recipe
from videolatent_cli.recipe.data_schema import EventWorldData
from videolatent_cli.training.feed import TripletFeed
from videolatent_cli.training.loop import StepResult, train_steps
from videolatent_cli.training.optimizer import make_optimizer, make_schedule
from videolatent_cli.training.step import SelfForcing

STEPS = 24


def step_seconds(rows: list[str], preset: str) -> dict[str, float]:
    """Return the CPU seconds per step of each row, mean over a training of 24 steps.

    The rows take turns. The short training passes through the whole schedule of the objectives.
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
    """Yield the steps of a row that is trained on a few videos."""
    path, whole, overrides = recipe_of(row, preset, 0)
    count = max(8, whole.training.videos_per_batch)
    few = [f"data.num_videos={count}", "data.num_eval_videos=1", f"training.max_steps={STEPS}"]
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


def answer_steps(row: str, preset: str) -> float:
    """Return the mean number of sequential forward passes of a right answer to 3-5 hops.

    One pass per token, the end of turn included, and one per block of latents.
    """
    recipe = recipe_of(row, preset, 0)[1]
    data = recipe.data
    assert isinstance(data, EventWorldData)
    kind = data.rationale if data.target == "rationale" else None
    found = eventworld_triplets(
        "test_iid",
        range(data.num_eval_videos),
        data.families,
        data.questions_per_video,
        rationale=kind,
    )
    deep = [t for _, triplets in found for t in triplets if int(str(t.meta["hops"])) >= 3]
    answers = [(with_rationale(t) if kind else t).answer for t in deep]
    tokens = AutoTokenizer.from_pretrained(TINY_FOLDER)(answers, add_special_tokens=False).input_ids
    blocks = recipe.latent.num_blocks if recipe.latent is not None else 0
    return mean(len(ids) + 1 for ids in tokens) + blocks
