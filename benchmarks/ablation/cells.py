"""The cells of the ablation grid: one row with one seed, measured and kept as one JSON file."""

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

from ruamel.yaml import YAML

from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.model.backbones.tiny import TINY_FOLDER
from videolatent_cli.recipe import Recipe, is_same, load_recipe
from videolatent_cli.recipe.data_schema import EventWorldData
from videolatent_cli.recipe.shipped import shipped_recipe

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "raw"
"""Folder of the cells; one folder per preset."""
GRID = Path(__file__).with_name("grid.yaml")
RECIPES = ("sft", "coconut", "full", "lean", "cot_short")
"""Rows that are recipes of their own; all other rows are in `grid.yaml`."""
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
"""Rows that are measured unless others are named, in the order of the tables."""
LEAKS = ("leak_nothing", "leak_ends", "leak_shuffled")
"""Leak checks: rows that do not see the whole video."""
SINGLE = ("single_full", "single_sft")
"""Rows with one question per video in a micro batch; they have a table of their own."""
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
"""Factor on the steps and further overrides of each preset; the recipes fit two CPU cores."""
LAST = 50
"""Number of steps at the end of training over which losses are averaged."""
ABLATIONS = ("off", "markers", "mean", "shuffle", "noise")
SHALLOW, DEEP = range(1, 3), range(3, 6)
"""Numbers of hops of easy and of hard questions."""


class Asked(NamedTuple):
    """One question of a split."""

    video: str
    hops: int
    family: str


@dataclass(frozen=True)
class Cell:
    """The result of one row with one seed."""

    row: str
    seed: int
    recipe: dict[str, Any]
    """Resolved recipe."""
    backbone: str
    """Hash of the embedded backbone's weights."""
    train_seconds: float
    splits: dict[str, dict[str, str]]
    """Results by split and ablation: one character per question, 1 for a right answer."""
    last: dict[str, float] = field(default_factory=dict)
    """Losses and latent diagnostics, means over the last steps; empty in early cells."""


class GridRow(NamedTuple):
    """A shipped recipe and the overrides that make a row of it."""

    recipe: str
    overrides: list[str]


@cache
def grid_rows() -> dict[str, GridRow]:
    """Return all rows of the grid by name."""
    others = YAML(typ="safe").load(GRID)
    recipes = {name: GridRow(name, []) for name in RECIPES}
    return recipes | {name: GridRow(**entry) for name, entry in others.items()}


def last_steps(log: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the mean losses and latent diagnostics of the last steps of a training log."""
    lines = [line["parts"] | line["latents"] for line in deque(log, LAST)]
    names = sorted({name for line in lines for name in line})
    return {name: mean(line[name] for line in lines if name in line) for name in names}


def recipe_of(row: str, preset: str, seed: int) -> tuple[Path, Recipe, list[str]]:
    """Return recipe file, resolved recipe and overrides of a cell."""
    recipe, own = grid_rows()[row]
    path = shipped_recipe(f"eventworld/{recipe}")
    factor, changes = PRESETS[preset]
    steps = factor * (load_recipe(path, own).training.max_steps or 0)
    overrides = [*own, *changes, f"training.seed={seed}", f"training.max_steps={steps}"]
    return path, load_recipe(path, overrides), overrides


@cache
def backbone_hash() -> str:
    """Return 12 hexadecimal digits that name the embedded backbone's weights."""
    return sha256((TINY_FOLDER / "model.safetensors").read_bytes()).hexdigest()[:12]


@cache
def questions(preset: str, split: str) -> tuple[Asked, ...]:
    """Return the questions of a split in the order of the characters of a cell."""
    data = recipe_of("full", preset, 0)[1].data
    assert isinstance(data, EventWorldData)
    pairs = eventworld_triplets(
        split, range(data.num_eval_videos), data.families, data.questions_per_video
    )
    return tuple(
        Asked(t.video, int(str(t.meta["hops"])), t.category[0]) for _, found in pairs for t in found
    )


def load_cell(path: Path, preset: str) -> Cell | None:
    """Return a cell; None if it is missing or was measured with another recipe or backbone."""
    if not path.exists():
        return None
    cell = Cell(**json.loads(path.read_text(encoding="utf-8")))
    recipe = recipe_of(cell.row, preset, cell.seed)[1]
    return cell if is_same(recipe, cell.recipe) and cell.backbone == backbone_hash() else None


def load_rows(preset: str) -> dict[str, list[Cell]]:
    """Return the cells of each row that has any, the main rows first."""
    loaded = [load_cell(path, preset) for path in sorted((FOLDER / preset).glob("*.json"))]
    names = dict.fromkeys((*MAIN, *LEAKS, *SINGLE, *grid_rows()))
    rows = {row: [cell for cell in loaded if cell and cell.row == row] for row in names}
    return {row: cells for row, cells in rows.items() if cells}


@dataclass(frozen=True)
class Subset:
    """The questions of a split with certain numbers of hops."""

    preset: str
    split: str
    hops: range = DEEP

    def videos(self) -> list[str]:
        """Return the video of each question of the subset."""
        asked = questions(self.preset, self.split)
        return [one.video for one in asked if one.hops in self.hops]

    def right(self, cell: Cell, name: str = "on") -> list[bool]:
        """Return whether a cell answers each question rightly under an ablation."""
        asked = questions(self.preset, self.split)
        answers = zip(cell.splits[self.split][name], asked, strict=True)
        return [bit == "1" for bit, one in answers if one.hops in self.hops]
