"""The grid of baselines: every recipe of recipes/eventworld, several seeds, all splits.

    python -m benchmarks.ablation --preset cpu --seeds 3            the main rows
    python -m benchmarks.ablation --preset cpu --rows blocks_1      others, by name
    python -m benchmarks ablation                                   the tables from what is there

Each run is kept as one JSON file in docs/ablation/PRESET, so the grid can be stopped and started
again; a file made with another recipe or backbone is made anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import table
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.evaluation.evaluate import Judged
from videolatent_cli.evaluation.statistics import Accuracy, Difference, paired_difference
from videolatent_cli.model.tiny import TINY_FOLDER
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.pipeline.rundir import RunDir
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import Recipe, load_recipe, recipe_hash
from videolatent_cli.recipe.data_schema import EventWorldData
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
    "positions_own",
    "cot_full",
    "cot_short",
    "cot_noisy",
)
LEAKS = ("leak_nothing", "leak_ends", "leak_shuffled")
PRESETS: dict[str, tuple[int, list[str]]] = {
    "cpu": (1, []),
    "gpu": (
        10,
        [
            "data.num_videos=8000",
            "data.num_eval_videos=1000",
            "training.videos_per_batch=16",
        ],
    ),
}
"""Factor of the steps, and what else a preset changes; the recipes are sized for two CPU cores."""
ABLATIONS = ("off", "markers", "mean", "shuffle", "noise")


@dataclass(frozen=True)
class Cell:
    """One recipe with one seed, measured."""

    row: str
    seed: int
    recipe_hash: str
    backbone: str
    seconds_per_step: float
    train_seconds: float
    splits: dict[str, dict[str, str]]
    """By split and ablation: one character a question, 1 where it was answered rightly."""


def recipe_of(row: str, preset: str, seed: int) -> tuple[Path, Recipe, list[str]]:
    """Return file, recipe and overrides of a cell."""
    path = shipped_recipe(f"eventworld/{row}")
    factor, changes = PRESETS[preset]
    steps = factor * (load_recipe(path).training.max_steps or 0)
    overrides = [*changes, f"training.seed={seed}", f"training.max_steps={steps}"]
    return path, load_recipe(path, overrides), overrides


@cache
def backbone_hash() -> str:
    """Return what the embedded backbone's weights are known by."""
    return sha256((TINY_FOLDER / "model.safetensors").read_bytes()).hexdigest()[:12]


@cache
def questions(preset: str, split: str) -> tuple[tuple[str, int], ...]:
    """Return video and hops of each question of a split, in the order of a cell's answers."""
    data = recipe_of("full", preset, 0)[1].data
    assert isinstance(data, EventWorldData)
    pairs = eventworld_triplets(
        split, range(data.num_eval_videos), data.families, data.questions_per_video
    )
    return tuple((t.video, int(str(t.meta["hops"]))) for _, found in pairs for t in found)


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
        backbone=backbone_hash(),
        seconds_per_step=seconds[len(seconds) // 2],
        train_seconds=sum(seconds),
        splits={
            split: {name: bits(judged) for name, judged in by_name.items()}
            for split, by_name in found.items()
        },
    )


def bits(judged: list[Judged]) -> str:
    """Return one character a question."""
    return "".join("1" if one.right else "0" for one in judged)


def load_cell(path: Path, preset: str) -> Cell | None:
    """Return a cell, None where it is not there or its recipe or backbone has changed since."""
    if not path.exists():
        return None
    cell = Cell(**json.loads(path.read_text(encoding="utf-8")))
    now = recipe_hash(recipe_of(cell.row, preset, cell.seed)[1])
    return cell if (cell.recipe_hash, cell.backbone) == (now, backbone_hash()) else None


def load_rows(preset: str) -> dict[str, list[Cell]]:
    """Return the cells of each row that has some, the main rows first."""
    cells = [load_cell(path, preset) for path in sorted((FOLDER / preset).glob("*.json"))]
    others = [name.removeprefix("eventworld/") for name in shipped_recipes()]
    names = dict.fromkeys((*MAIN, *LEAKS, *others))
    rows = {row: [cell for cell in cells if cell and cell.row == row] for row in names}
    return {row: found for row, found in rows.items() if found}


@dataclass(frozen=True)
class Part:
    """Some questions of a split: those of 3 hops and more, or of fewer."""

    preset: str
    split: str
    deep: bool = True

    def videos(self) -> list[str]:
        """Return the video of each question."""
        return [v for v, hops in questions(self.preset, self.split) if (hops >= 3) == self.deep]

    def right(self, cell: Cell, name: str = "on") -> list[bool]:
        """Return which questions a cell answers rightly under an ablation."""
        asked = questions(self.preset, self.split)
        answers = zip(cell.splits[self.split][name], asked, strict=True)
        return [bit == "1" for bit, (_, hops) in answers if (hops >= 3) == self.deep]

    def pooled(self, cells: list[Cell], name: str = "on") -> list[bool]:
        """Return the same for several seeds, one after the other."""
        return [right for cell in cells for right in self.right(cell, name)]


def gain(a: list[Cell], b: list[Cell], part: Part) -> Difference | None:
    """Return the paired difference of two rows over the seeds that both have."""
    seeds = sorted({cell.seed for cell in a} & {cell.seed for cell in b})
    right_a, right_b = (part.pooled([cell for cell in row if cell.seed in seeds]) for row in (a, b))
    videos = part.videos() * len(seeds)
    return paired_difference(right_a, right_b, videos) if videos else None


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
    """Return one split: each row against plain SFT of equal steps and of equal time."""
    deep, shallow = Part(preset, split), Part(preset, split, deep=False)
    lines = [
        [
            row,
            str(len(cells)),
            _share(shallow.pooled(cells)),
            _share(deep.pooled(cells)),
            *(
                _points(gain(cells, rows.get(base, []), deep)) if row != base else ""
                for base in ("sft", "sft_long")
            ),
        ]
        for row, cells in rows.items()
        if split in cells[0].splits
    ]
    return f"### {split}, preset {preset}\n\n" + table(
        ["recipe", "seeds", "1-2 hops", "3-5 hops", "3-5 over sft, points", "over sft_long"], lines
    )


def _causal(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return what replacing the latents costs on the deep questions of test_iid."""
    part = Part(preset, "test_iid")
    lines = [
        [
            row,
            *(
                _points(
                    paired_difference(
                        part.pooled(cells), part.pooled(cells, name), part.videos() * len(cells)
                    )
                )
                for name in ABLATIONS
            ),
        ]
        for row, cells in rows.items()
        if set(ABLATIONS) <= cells[0].splits["test_iid"].keys()
    ]
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
    rows = load_rows(preset)
    measured = [s for s in SPLITS if any(s in cells[0].splits for cells in rows.values())]
    parts = [_table(preset, rows, split) for split in measured]
    return (
        "## Ablation\n\nRecipes of `recipes/eventworld`, same backbone, data, steps and seeds; "
        "accuracy pooled over seeds with 95 % Wilson intervals, differences paired by question "
        "with a 95 % bootstrap over videos. `python -m benchmarks.ablation --preset cpu --seeds "
        "3`, then `python -m benchmarks ablation`.\n\n"
        + "\n\n".join(
            [*parts, _causal(preset, rows), _costs(rows)] if rows else ["Nothing measured yet."]
        )
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
            path = folder / f"{row}-{seed}.json"
            if load_cell(path, asked.preset):
                continue
            cell = measure(row, asked.preset, seed, asked.cache_dir, asked.device)
            path.write_text(json.dumps(asdict(cell), separators=(",", ":")) + "\n", "utf-8")
            right = Part(asked.preset, "test_iid").right(cell)
            print(f"{row} seed {seed}: 3-5 hops {_share(right)}, {cell.train_seconds:.0f} s")


if __name__ == "__main__":
    main()
