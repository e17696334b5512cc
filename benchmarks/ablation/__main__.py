"""Measure the ablation grid: its rows, with several seeds, on all splits.

    python -m benchmarks.ablation --preset cpu --seeds 3            the main rows
    python -m benchmarks.ablation --preset cpu --rows blocks_1      other rows, by name
    python -m benchmarks ablation                                   the tables, from all cells

Rows are recipes of recipes/eventworld and entries of grid.yaml. A cell is kept as one JSON file in
docs/results/raw/PRESET and its run in --runs-dir, so an interrupted grid resumes. A cell of another
recipe or backbone is measured again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.ablation.cells import (
    ABLATIONS,
    FOLDER,
    LEAKS,
    MAIN,
    PRESETS,
    Cell,
    Subset,
    backbone_hash,
    last_steps,
    load_cell,
    recipe_of,
)
from benchmarks.ablation.seeds import accuracy, as_share
from videolatent_cli.evaluation.evaluate import Judged
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import recipe_hash, resolved
from videolatent_cli.runtime.machine import Machine


def measure(row: str, preset: str, seed: int, runs_dir: Path, cache_dir: Path, device: str) -> Cell:
    """Train one row with one seed, or resume its run, and evaluate it on every split."""
    path, recipe, overrides = recipe_of(row, preset, seed)
    run = runs_dir / preset / f"{row}-{seed}-{recipe_hash(recipe)}-{backbone_hash()}"
    machine = Machine(cache_dir, device)
    train(
        TrainRequest(
            recipe=recipe,
            source=path.read_text(encoding="utf-8"),
            run_dir=run,
            base_dir=path.parent,
            overrides=tuple(overrides),
        ),
        machine,
    )
    blocks = recipe.latent is not None and recipe.latent.num_blocks > 0
    wanted = ABLATIONS if blocks else ()
    found = evaluate_run(EvalRequest(run, ablations=wanted), machine).results
    return Cell(
        row=row,
        seed=seed,
        recipe=resolved(recipe),
        backbone=backbone_hash(),
        train_seconds=sum(line["seconds"] for line in RunDir(run).read_log()),
        splits={
            split: {name: bits(judged) for name, judged in by_name.items()}
            for split, by_name in found.items()
        },
        last=last_steps(RunDir(run).read_log()),
    )


def bits(judged: list[Judged]) -> str:
    """Return one character per question: 1 for a right answer."""
    return "".join("1" if one.right else "0" for one in judged)


def main() -> None:
    """Measure the missing cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", default=[*MAIN, *LEAKS])
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--cache-dir", type=Path, default=Path("cache"))
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    folder = FOLDER / asked.preset
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.seeds):
        for row in asked.rows:
            path = folder / f"{row}-{seed}.json"
            if load_cell(path, asked.preset):
                continue
            cell = measure(row, asked.preset, seed, asked.runs_dir, asked.cache_dir, asked.device)
            path.write_text(json.dumps(asdict(cell), separators=(",", ":")) + "\n", "utf-8")
            found = as_share(accuracy([cell], Subset(asked.preset, "test_iid")))
            print(f"{row} seed {seed}: 3-5 hops {found}, {cell.train_seconds:.0f} s")


if __name__ == "__main__":
    main()
