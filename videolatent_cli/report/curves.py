"""Plots of training curves as PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Log = Sequence[Mapping[str, Any]]
    """Entries of a step log, one per step."""

_COLUMNS = 2


@dataclass(frozen=True)
class Panel:
    """One plot with named curves over steps."""

    title: str
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Points (step, value) of each curve by its label."""


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """Return a PNG of the panels, two per row."""
    # Imported here since matplotlib is slow to import. Agg needs no screen; pyplot might choose a
    # backend that does.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(9, 4 if rows == 1 else 3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        for label, points in panel.curves.items():
            steps = [step for step, _ in points]
            axes.plot(steps, smoothed([value for _, value in points]), label=label)
        axes.set(title=panel.title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    data = io.BytesIO()
    figure.savefig(data, dpi=120, format="png")
    return data.getvalue()


def comparison_panels(logs: Mapping[str, Log]) -> list[Panel]:
    """Return two panels: the answer loss of several runs, and all other parts of their losses."""
    parts = {name: _named(log, "parts") for name, log in logs.items()}
    others = {
        f"{name}: {part}": points
        for name, curves in parts.items()
        for part, points in curves.items()
        if part != "answer"
    }
    answers = {name: curves["answer"] for name, curves in parts.items()}
    return [Panel("answer loss (nats)", answers), Panel("other parts of the loss", others)]


def run_panels(log: Log) -> list[Panel]:
    """Return the panels of one run's log."""
    others = _named(log, "latents")
    # The effective rank has a panel of its own: it is far above similarities and scale.
    rank = {"all latents": others.pop("effective_rank")} if "effective_rank" in others else {}
    speed = _curve(log, lambda line: line["num_tokens"] / line["seconds"])
    memory = _curve(log, lambda line: line["peak_memory_bytes"] / 1e9)
    panels = [
        Panel("loss by part", _named(log, "parts")),
        Panel("learning rate", {"backbone": _curve(log, lambda line: line["learning_rate"])}),
        Panel("gradient norm", {"before clipping": _curve(log, lambda line: line["grad_norm"])}),
        Panel("tokens per second", {"training": speed}),
        Panel("peak memory (GB)", {"so far": memory}),
        Panel("latents: similarity and scale", others),
        Panel("latents: effective rank", rank),
    ]
    return [panel for panel in panels if panel.curves]


def _curve(log: Log, value: Callable[[Mapping[str, Any]], float]) -> list[tuple[int, float]]:
    """Return the curve of one value per log entry."""
    return [(line["step"], value(line)) for line in log]


def _named(log: Log, key: str) -> dict[str, list[tuple[int, float]]]:
    """Return one curve for each name in the dictionaries under a key; entries may lack names."""
    names = dict.fromkeys(name for line in log for name in line[key])
    return {
        name: [(line["step"], line[key][name]) for line in log if name in line[key]]
        for name in names
    }


def plot_curves(logs: Mapping[str, Log], path: Path) -> None:
    """Write a PNG that compares runs, first to a temporary name that is then renamed."""
    part_path = path.with_name(path.name + ".part")
    part_path.write_bytes(draw_panels(comparison_panels(logs)))
    part_path.replace(path)


def smoothed(values: Sequence[float], window: int = 9) -> list[float]:
    """Return the running mean: each value averaged with up to `window` - 1 values before it."""
    return [
        sum(values[max(0, i - window + 1) : i + 1]) / min(window, i + 1) for i in range(len(values))
    ]
