"""The grid of baselines: every recipe of recipes/eventworld, several seeds, all splits.

    python -m benchmarks.ablation --preset cpu --seeds 3            the main rows
    python -m benchmarks.ablation --preset cpu --rows blocks_1      others, by name
    python -m benchmarks ablation                                   the tables from what is there

Each run is kept as one JSON file in docs/ablation/PRESET, so the grid can be stopped and started
again; a file made with another recipe is made anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import table
from videolatent_cli.evaluation.evaluate import Judged
from videolatent_cli.evaluation.statistics import Accuracy, Difference, paired_difference
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.pipeline.rundir import RunDir
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import Recipe, load_recipe, recipe_hash
from videolatent_cli.shipped import shipped_recipe, shipped_recipes

FOLDER = Path(__file__).parents[1] / "docs" / "ablation"
SPLITS = ("test_iid", "test_program", "test_pair", "test_long", "test_crowd", "test_look")
MAIN = (
    "sft",
    "sft_long",
    "markers",
    "pause",
    "coconut",
    "ce",
    "alignment",
    "diversity",
    "pair",
    "full",
    "cot_full",
    "cot_short",
    "cot_noisy",
)
LEAKS = ("leak_nothing", "leak_ends", "leak_shuffled")
PRESETS: dict[str, list[str]] = {
    "cpu": [],
    "gpu": [
        "data.num_videos=8000",
        "data.num_eval_videos=1000",
        "training.max_steps=4000",
        "training.videos_per_batch=16",
    ],
}
"""What a preset changes of the recipes, which are sized for two CPU cores."""
ABLATIONS = ("off", "markers", "mean", "shuffle", "noise")


@dataclass(frozen=True)
class Cell:
    """One recipe with one seed, measured."""

    row: str
    seed: int
    recipe_hash: str
    seconds_per_step: float
    train_seconds: float
    splits: dict[str, dict[str, str]]
    """By split and ablation: one character a question, 1 where it was answered rightly."""
    questions: dict[str, list[list[Any]]]
    """By split: [video, hops] of each question."""


def recipe_of(row: str, preset: str, seed: int) -> tuple[Path, Recipe, list[str]]:
    """Return file, recipe and overrides of a cell."""
    path = shipped_recipe(f"eventworld/{row}")
    overrides = [*PRESETS[preset], f"training.seed={seed}"]
    if row == "sft_long" and preset != "cpu":
        steps = load_recipe(path).training.max_steps or 0
        base = load_recipe(shipped_recipe("eventworld/sft")).training.max_steps or 1
        wanted = load_recipe(path, PRESETS[preset]).training.max_steps or 0
        overrides.append(f"training.max_steps={round(wanted * steps / base)}")
    return path, load_recipe(path, overrides), overrides


def measure(row: str, preset: str, seed: int, cache_dir: Path, device: str) -> Cell:
    """Train one recipe with one seed and evaluate it on every split."""
    path, recipe, overrides = recipe_of(row, preset, seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train(
            TrainRequest(
                recipe=recipe,
                source=path.read_text(encoding="utf-8"),
                run_dir=run,
                cache_dir=cache_dir,
                base_dir=path.parent,
                overrides=tuple(overrides),
                device=device,
            )
        )
        log = list(RunDir(run).read_log())
        blocks = recipe.latent is not None and recipe.latent.num_blocks > 0
        wanted = ABLATIONS if blocks else ()
        found = evaluate_run(EvalRequest(run, ablations=wanted), cache_dir, device).results
    seconds = sorted(line["seconds"] for line in log)
    return Cell(
        row=row,
        seed=seed,
        recipe_hash=recipe_hash(recipe),
        seconds_per_step=seconds[len(seconds) // 2],
        train_seconds=sum(seconds),
        splits={
            split: {name: bits(judged) for name, judged in by_name.items()}
            for split, by_name in found.items()
        },
        questions={
            split: [[one.triplet.video, one.triplet.meta["hops"]] for one in by_name["on"]]
            for split, by_name in found.items()
        },
    )


def bits(judged: list[Judged]) -> str:
    """Return one character a question."""
    return "".join("1" if one.right else "0" for one in judged)


def load_cells(preset: str) -> dict[tuple[str, int], Cell]:
    """Return what was measured with the recipes as they are now."""
    cells = {}
    for path in sorted((FOLDER / preset).glob("*.json")):
        cell = Cell(**json.loads(path.read_text(encoding="utf-8")))
        if cell.recipe_hash == recipe_hash(recipe_of(cell.row, preset, cell.seed)[1]):
            cells[cell.row, cell.seed] = cell
    return cells


def pooled(
    cells: list[Cell], split: str, deep: bool, name: str = "on"
) -> tuple[list[bool], list[str]]:
    """Return right answers and videos of several seeds, of 3 hops and more or of fewer."""
    right, videos = [], []
    for cell in cells:
        for bit, (video, hops) in zip(cell.splits[split][name], cell.questions[split], strict=True):
            if (hops >= 3) == deep:
                right.append(bit == "1")
                videos.append(video)
    return right, videos


def gain(a: list[Cell], b: list[Cell], split: str, deep: bool) -> Difference | None:
    """Return the paired difference of two rows over the seeds that both have."""
    seeds = sorted({cell.seed for cell in a} & {cell.seed for cell in b})
    if not seeds:
        return None
    chosen = [[cell for cell in row if cell.seed in seeds] for row in (a, b)]
    (right_a, videos), (right_b, _) = (pooled(row, split, deep) for row in chosen)
    return paired_difference(right_a, right_b, videos) if right_a else None


def _share(right: list[bool]) -> str:
    value = Accuracy(sum(right), len(right))
    low, high = value.interval()
    return f"{value.value:.3f} [{low:.2f}, {high:.2f}]" if right else ""


def _points(found: Difference | None) -> str:
    return (
        f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
        if found
        else ""
    )


def _table(preset: str, rows: dict[str, list[Cell]], split: str) -> str:
    """Return one split: each row against plain SFT."""
    base = rows.get("sft", [])
    lines = []
    for row, cells in rows.items():
        if split not in cells[0].splits:
            continue
        deep, shallow = pooled(cells, split, True)[0], pooled(cells, split, False)[0]
        lines.append(
            [
                row,
                str(len(cells)),
                _share(shallow),
                _share(deep),
                _points(gain(cells, base, split, True)) if row != "sft" else "",
            ]
        )
    return f"### {split}, preset {preset}\n\n" + table(
        ["recipe", "seeds", "1-2 hops", "3-5 hops", "3-5 hops over plain SFT, points"], lines
    )


def _causal(rows: dict[str, list[Cell]]) -> str:
    """Return what replacing the latents costs on the deep questions of test_iid."""
    lines = []
    for row, cells in rows.items():
        if set(cells[0].splits["test_iid"]) == {"on"}:
            continue
        own, videos = pooled(cells, "test_iid", True)
        costs = [
            _points(paired_difference(own, pooled(cells, "test_iid", True, name)[0], videos))
            for name in ABLATIONS
        ]
        lines.append([row, *costs])
    return "### Points lost on 3-5 hops of test_iid when the latents are replaced\n\n" + table(
        ["recipe", *ABLATIONS], lines
    )


def _costs(rows: dict[str, list[Cell]]) -> str:
    """Return the time of training."""
    first = rows["sft"][0].seconds_per_step if "sft" in rows else float("nan")
    lines = [
        [
            row,
            f"{cells[0].seconds_per_step:.2f}",
            f"{cells[0].seconds_per_step / first:.2f}x",
            f"{cells[0].train_seconds:.0f}",
        ]
        for row, cells in rows.items()
    ]
    return "### Cost of training\n\n" + table(["recipe", "s a step", "over SFT", "s in all"], lines)


def run(preset: str = "cpu") -> str:
    """Return the section from the files that are there."""
    cells = load_cells(preset)
    order = [name.removeprefix("eventworld/") for name in shipped_recipes()]
    names = [*MAIN, *LEAKS, *(name for name in order if name not in (*MAIN, *LEAKS))]
    rows = {
        row: found
        for row in names
        if (found := [c for (name, _), c in cells.items() if name == row])
    }
    measured = [s for s in SPLITS if any(s in cells[0].splits for cells in rows.values())]
    parts = [_table(preset, rows, split) for split in measured]
    return (
        "## Ablation\n\nRecipes of `recipes/eventworld`, same backbone, data, steps and seeds; "
        "accuracy pooled over seeds with 95 % Wilson intervals, differences paired by question "
        "with a 95 % bootstrap over videos. `python -m benchmarks.ablation --preset cpu --seeds "
        "3`, then `python -m benchmarks ablation`.\n\n"
        + "\n\n".join([*parts, _causal(rows), _costs(rows)] if rows else ["Nothing measured yet."])
    )


def main() -> None:
    """Measure the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", default=[*MAIN, *LEAKS])
    parser.add_argument("--cache-dir", type=Path, default=Path("cache"))
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    folder = FOLDER / asked.preset
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.seeds):
        for row in asked.rows:
            if (row, seed) in load_cells(asked.preset):
                continue
            cell = measure(row, asked.preset, seed, asked.cache_dir, asked.device)
            path = folder / f"{row}-{seed}.json"
            path.write_text(json.dumps(cell.__dict__, separators=(",", ":")) + "\n", "utf-8")
            right = pooled([cell], "test_iid", True)[0]
            print(
                f"{row} seed {seed}: 3-5 hops {_share(right)}, {cell.train_seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
