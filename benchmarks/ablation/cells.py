"""The cells of the grid: one recipe with one seed, measured, kept as one JSON file."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.model.backbones.tiny import TINY_FOLDER
from videolatent_cli.recipe import Recipe, is_same, load_recipe
from videolatent_cli.recipe.data_schema import EventWorldData
from videolatent_cli.recipe.shipped import shipped_recipe, shipped_recipes

FOLDER = Path(__file__).parents[2] / "docs" / "ablation"
SPLITS = ("test_iid", "test_program", "test_pair", "test_long", "test_crowd", "test_look")
MAIN = (
    "sft",
    "sft_mid",
    "sft_long",
    "markers",
    "pause",
    "coconut",
    "ce",
    "alignment",
    "diversity",
    "pair",
    "full",
    "no_alignment",
    "no_diversity",
    "lean",
    "positions_own",
    "cot_full",
    "cot_short",
    "cot_noisy",
)
LEAKS = ("leak_nothing", "leak_ends", "leak_shuffled")
SINGLE = ("single_full", "single_sft")
"""With one question a video in a batch; they have a table of their own."""
PRESETS: dict[str, tuple[int, list[str]]] = {
    "cpu": (1, []),
    "gpu": (
        5,
        [
            "data.num_videos=8000",
            "data.num_eval_videos=1000",
            "training.videos_per_batch=16",
        ],
    ),
}
"""Factor of the steps, and what else a preset changes; the recipes are sized for two CPU cores."""
LAST = 50
"""Steps that the end of a training is judged by."""
ABLATIONS = ("off", "markers", "mean", "shuffle", "noise")
SHALLOW, DEEP = range(1, 3), range(3, 6)
"""Numbers of hops."""


class Asked(NamedTuple):
    """One question of a split."""

    video: str
    hops: int
    family: str


@dataclass(frozen=True)
class Cell:
    """One recipe with one seed, measured."""

    row: str
    seed: int
    recipe: dict[str, Any]
    """Resolved."""
    backbone: str
    train_seconds: float
    splits: dict[str, dict[str, str]]
    """By split and ablation: one character a question, 1 where it was answered rightly."""
    last: dict[str, float] = field(default_factory=dict)
    """Losses and diagnostics of the latents, means of the last steps; empty in older cells."""


def last_steps(log: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the means of what a log of training says of losses and latents at its end."""
    lines = [line["parts"] | line["latents"] for line in deque(log, LAST)]
    names = sorted({name for line in lines for name in line})
    return {name: mean(line[name] for line in lines if name in line) for name in names}


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
def questions(preset: str, split: str) -> tuple[Asked, ...]:
    """Return the questions of a split, in the order of a cell's answers."""
    data = recipe_of("full", preset, 0)[1].data
    assert isinstance(data, EventWorldData)
    pairs = eventworld_triplets(
        split, range(data.num_eval_videos), data.families, data.questions_per_video
    )
    return tuple(
        Asked(t.video, int(str(t.meta["hops"])), t.category[0]) for _, found in pairs for t in found
    )


def load_cell(path: Path, preset: str) -> Cell | None:
    """Return a cell, None where it is not there or its recipe or backbone has changed since."""
    if not path.exists():
        return None
    cell = Cell(**json.loads(path.read_text(encoding="utf-8")))
    recipe = recipe_of(cell.row, preset, cell.seed)[1]
    return cell if is_same(recipe, cell.recipe) and cell.backbone == backbone_hash() else None


def load_rows(preset: str) -> dict[str, list[Cell]]:
    """Return the cells of each row that has some, the main rows first."""
    cells = [load_cell(path, preset) for path in sorted((FOLDER / preset).glob("*.json"))]
    others = [name.removeprefix("eventworld/") for name in shipped_recipes()]
    names = dict.fromkeys((*MAIN, *LEAKS, *SINGLE, *others))
    rows = {row: [cell for cell in cells if cell and cell.row == row] for row in names}
    return {row: found for row, found in rows.items() if found}


@dataclass(frozen=True)
class Subset:
    """Some questions of a split: those of some numbers of hops."""

    preset: str
    split: str
    hops: range = DEEP

    def videos(self) -> list[str]:
        """Return the video of each question."""
        asked = questions(self.preset, self.split)
        return [one.video for one in asked if one.hops in self.hops]

    def right(self, cell: Cell, name: str = "on") -> list[bool]:
        """Return which questions a cell answers rightly under an ablation."""
        asked = questions(self.preset, self.split)
        answers = zip(cell.splits[self.split][name], asked, strict=True)
        return [bit == "1" for bit, one in answers if one.hops in self.hops]

    def pooled(self, cells: list[Cell], name: str = "on") -> list[bool]:
        """Return the same for several seeds, one after the other."""
        return [right for cell in cells for right in self.right(cell, name)]
