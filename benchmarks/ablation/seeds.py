"""Accuracies and differences of rows of the grid, with intervals that include the seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from benchmarks.ablation.cells import Cell, Subset
from benchmarks.measure import table
from videolatent_cli.evaluation.statistics import clustered_interval, mcnemar_p, wilson_interval

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


class OverSeeds(NamedTuple):
    """A mean over seeds, with what it would have been with other seeds and other questions."""

    by_seed: list[float]
    """Value of each seed."""
    questions: tuple[float, float]
    """95 % interval of the mean over the questions that one seed answers; the seeds are fixed."""

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return mean(self.by_seed)

    def interval(self) -> tuple[float, float]:
        """Return a 95 % interval of the mean: over seeds or over questions, whichever is wider.

        Choice: Student's t over seeds, which resampling three seeds would understate. It assumes
        the questions, and the interval over questions assumes the seeds; so each end is the one
        that reaches further. One seed says nothing about others: only questions count then.
        """
        count = len(self.by_seed)
        if count < 2:
            return self.questions
        margin = float(t.ppf(0.975, count - 1)) * stdev(self.by_seed) / math.sqrt(count)
        low, high = self.questions
        return min(low, self.mean - margin), max(high, self.mean + margin)


def accuracy(cells: Sequence[Cell], part: Subset, name: str = "on") -> OverSeeds | None:
    """Return the accuracy of a row under an ablation; None without cells or questions."""
    by_seed = [part.right(cell, name) for cell in cells]
    if not by_seed or not by_seed[0]:
        return None
    shares = [mean(right) for right in by_seed]
    return OverSeeds(shares, wilson_interval(mean(shares), len(by_seed[0])))


def difference(a: Sequence[Cell], b: Sequence[Cell], part: Subset) -> OverSeeds | None:
    """Return accuracy of A minus that of B over the seeds that both have; None if there are none.

    Questions are paired, and so are seeds.
    """
    first, second = ({cell.seed: part.right(cell) for cell in row} for row in (a, b))
    shared = sorted(first.keys() & second.keys())
    return _difference([(first[seed], second[seed]) for seed in shared], part)


def lost(cells: Sequence[Cell], name: str, part: Subset) -> OverSeeds | None:
    """Return what a row loses in accuracy under an ablation."""
    return _difference([(part.right(cell), part.right(cell, name)) for cell in cells], part)


def _difference(pairs: Sequence[tuple[list[bool], list[bool]]], part: Subset) -> OverSeeds | None:
    """Return the difference of pairs of results, one pair per seed."""
    videos = part.videos()
    if not pairs or not videos:
        return None
    gains = np.array([np.subtract(a, b, dtype=float) for a, b in pairs])  # (seed, question)
    over_videos = clustered_interval(gains.mean(0), videos)
    return OverSeeds(gains.mean(1).tolist(), over_videos)


def as_share(found: OverSeeds | None) -> str:
    """Return an accuracy with its interval as text, such as `0.870 [0.84, 0.90]`."""
    if found is None:
        return ""
    low, high = (min(1.0, max(0.0, end)) for end in found.interval())
    return f"{found.mean:.3f} [{low:.2f}, {high:.2f}]"


def as_points(found: OverSeeds | None) -> str:
    """Return a difference in points with its interval; `*` marks one seed."""
    if found is None:
        return ""
    low, high = found.interval()
    mark = "*" if len(found.by_seed) == 1 else ""
    return f"{100 * found.mean:+.1f}{mark} [{100 * low:.1f}, {100 * high:.1f}]"


def seeds(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the section that compares rows seed by seed."""
    lines = []
    for a, b in COMPARED:
        for split in SPLITS:
            cells = rows.get(a, []), rows.get(b, [])
            if not all(cells) or not all(split in row[0].splits for row in cells):
                continue
            part = Subset(preset, split)
            found = difference(*cells, part)
            if found is not None and len(found.by_seed) > 1:
                by_seed = ", ".join(f"{100 * value:+.1f}" for value in found.by_seed)
                lines.append(
                    [f"{a} - {b}", split, as_points(found), by_seed, ", ".join(_p(*cells, part))]
                )
    return (
        "### Differences seed by seed\n\nAccuracy on 3-5 hops: difference of two rows in points, "
        "with one value per seed, and the p-value of McNemar's exact test for each seed. The test "
        "takes questions as independent.\n\n"
        + table(["rows", "split", "mean [95 %]", "by seed", "p by seed"], lines)
    )


def _p(a: Sequence[Cell], b: Sequence[Cell], part: Subset) -> list[str]:
    """Return the p-value of McNemar's test of two rows for each seed that both have."""
    first, second = ({cell.seed: np.array(part.right(cell)) for cell in row} for row in (a, b))
    return [
        f"{mcnemar_p(int((first[s] & ~second[s]).sum()), int((second[s] & ~first[s]).sum())):.2g}"
        for s in sorted(first.keys() & second.keys())
    ]
