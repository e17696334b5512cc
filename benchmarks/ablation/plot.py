"""The plot of the grid: accuracy of every row on every split, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.ablation import cells as cells_module
from benchmarks.ablation.cells import SPLITS, Cell, Subset
from benchmarks.ablation.seeds import accuracy

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_BASES = {"sft": "tab:blue", "sft_long": "tab:orange"}
"""Rows of reference: a vertical line in this color marks their accuracy."""


def draw(preset: str, rows: dict[str, list[Cell]]) -> Path:
    """Write the plot beside the cells and return its path; equal cells give equal bytes."""
    figure = Figure(figsize=(11, 2.2 + 0.45 * len(rows)), layout="constrained")
    grid = figure.subplots(2, 3, sharey=True).flatten()
    for axes, split in zip(grid, SPLITS, strict=True):
        _panel(axes, Subset(preset, split), rows)
    path = cells_module.FOLDER / f"{preset}.svg"
    with mpl.rc_context({"svg.hashsalt": preset, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
    return path


def _panel(axes: Axes, part: Subset, rows: dict[str, list[Cell]]) -> None:
    """Draw one split: a point with its 95 % interval per row, first row at the top."""
    for y, (row, cells) in enumerate(rows.items()):
        if part.split not in cells[0].splits:
            continue
        found = accuracy(cells, part)
        assert found is not None
        color = _BASES.get(row, "black")
        axes.plot(found.interval(), (y, y), color=color)
        axes.plot(found.mean, y, "o", color=color)
        if row in _BASES:
            axes.axvline(found.mean, color=_BASES[row], alpha=0.4)
    axes.set(title=f"{part.split}, 3-5 hops", yticks=range(len(rows)), yticklabels=list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
