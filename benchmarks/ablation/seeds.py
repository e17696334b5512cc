"""Differences between rows of the grid with the scatter of seeds: one difference per seed."""

from __future__ import annotations

from statistics import mean, stdev
from typing import NamedTuple

from scipy.stats import t

from benchmarks.ablation.cells import Cell, Subset
from benchmarks.measure import table

COMPARED = (
    ("full", "sft"),
    ("full", "sft_mid"),
    ("full", "sft_long"),
    ("single_full", "single_sft"),
    ("full", "markers"),
    ("full", "pause"),
    ("full", "ce"),
    ("full", "coconut"),
    ("full", "pair"),
    ("full", "no_alignment"),
    ("full", "cot_noisy"),
)
"""Pairs of rows whose difference is a claim of the README."""
SPLITS = ("test_iid", "test_program")


class SeedDifference(NamedTuple):
    """The differences of two rows, one per seed that both have (points)."""

    by_seed: list[float]

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{mean(self.by_seed):.1f} [{low:.1f}, {high:.1f}]"

    def interval(self) -> tuple[float, float]:
        """Return the 95 % Student t interval of the mean over seeds."""
        count = len(self.by_seed)
        margin = float(t.ppf(0.975, count - 1)) * stdev(self.by_seed) / count**0.5
        return mean(self.by_seed) - margin, mean(self.by_seed) + margin


def difference(a: list[Cell], b: list[Cell], part: Subset) -> SeedDifference | None:
    """Return the difference of two rows on a subset per seed; None with fewer than two seeds."""
    first, second = ({cell.seed: part.right(cell) for cell in row} for row in (a, b))
    shared = sorted(first.keys() & second.keys())
    if len(shared) < 2:
        return None
    return SeedDifference([100 * (mean(first[s]) - mean(second[s])) for s in shared])


def seeds(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the section that compares rows with intervals over seeds."""
    lines = []
    for a, b in COMPARED:
        for split in SPLITS:
            cells = rows.get(a, []), rows.get(b, [])
            if not all(cells) or not all(split in row[0].splits for row in cells):
                continue
            points = difference(*cells, Subset(preset, split))
            if points is not None:
                by_seed = ", ".join(f"{value:.1f}" for value in points.by_seed)
                lines.append([f"{a} - {b}", split, by_seed, str(points)])
    return (
        "### Differences with the scatter of seeds\n\nAccuracy on 3-5 hops, difference of two rows "
        "in points per seed, and its mean with a 95 % Student t interval over seeds. Three seeds "
        "give wide intervals. The intervals of all other tables are over videos and treat the "
        "seeds as fixed.\n\n" + table(["rows", "split", "by seed", "mean [95 %]"], lines)
    )
