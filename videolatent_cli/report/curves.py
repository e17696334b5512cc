"""Plots of training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def plot_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Write a PNG with the answer loss of several runs, and the other parts of each.

    Args:
        logs: Lines of the step logs by run name.
        path: The file.
    """
    # Heavy, and needs a backend without a screen before pyplot would choose one.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, lines in logs.items():
        steps = [line["step"] for line in lines]
        left.plot(steps, smoothed([line["parts"]["answer"] for line in lines]), label=name)
        others = sorted({part for line in lines for part in line["parts"]} - {"answer"})
        for part in others:
            points = [
                (line["step"], line["parts"][part]) for line in lines if part in line["parts"]
            ]
            right.plot(
                [step for step, _ in points],
                smoothed([value for _, value in points]),
                label=f"{name}: {part}",
            )
    for axes, title in ((left, "answer loss (nats)"), (right, "other parts")):
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    part_path = path.with_name(path.name + ".part")
    figure.savefig(part_path, dpi=120, format="png")
    part_path.replace(path)


def smoothed(values: Sequence[float], window: int = 9) -> list[float]:
    """Return the mean of each value and those just before it."""
    return [
        sum(values[max(0, i - window + 1) : i + 1]) / min(window, i + 1) for i in range(len(values))
    ]
