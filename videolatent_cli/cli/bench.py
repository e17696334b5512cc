"""The command `vl bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from videolatent_cli.cli.options import AsJson, Device, Overrides, RecipePath
from videolatent_cli.cli.output import print_json, print_table, progress_bars
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from videolatent_cli.pipeline.bench import BenchReport


def bench(  # noqa: PLR0913 - the options of the command
    recipe: RecipePath,
    overrides: Overrides = None,
    trace_tokens: Annotated[
        int,
        typer.Option(min=1, help="Number of tokens per chain of thought (mean of Video-R1: 385)."),
    ] = 385,
    question_tokens: Annotated[
        int, typer.Option(min=1, help="Number of tokens per question.")
    ] = 120,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Number of tokens per answer.")] = 4,
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of measurements; the median is reported.")
    ] = 3,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Measure time and memory of answers and training steps on a random video.

    Answers are given directly, with latents, and after a chain of thought.

    Example: vl bench recipes/quickstart.yaml --trace-tokens 100
    """
    from videolatent_cli.pipeline.bench import BenchRequest, bench_recipe
    from videolatent_cli.recipe import load_recipe

    request = BenchRequest(
        load_recipe(recipe, overrides or ()),
        trace_tokens,
        question_tokens,
        answer_tokens,
        rounds=rounds,
    )
    with progress_bars() as show:
        report = bench_recipe(request, Machine(device=device), show)
    if as_json:
        print_json(report.document())
        return
    _print(report)


def _print(report: BenchReport) -> None:
    """Print both tables; the ratios are relative to the direct answer and to plain SFT."""
    workload = f"{report.parameters / 1e6:.1f} M parameters, {report.visual_tokens} visual tokens"
    direct = report.answers["direct"]
    rows = [
        [
            name,
            str(cost.sequential_steps),
            f"{1000 * cost.prefill_seconds:.0f}",
            f"{1000 * cost.seconds:.0f}",
            f"{cost.seconds / direct.seconds:.2f}x",
            f"{cost.tokens_per_second:.1f}",
            f"{cost.multiply_adds / 1e9:.3g}",
            _memory(cost.peak_memory_bytes),
        ]
        for name, cost in report.answers.items()
    ]
    columns = ["answer", "steps", "prefill ms", "ms", "", "tokens/s", "GMACs", "peak"]
    title = f"one answer on {report.device}: {workload}; GMACs: 1e9 multiply-adds"
    print_table(title, columns, rows)
    plain = report.steps["plain SFT"]
    rows = [
        [
            name,
            f"{1000 * cost.seconds:.0f}",
            f"{cost.seconds / plain.seconds:.2f}x",
            f"{cost.multiply_adds / 1e9:.3g}",
            _memory(cost.peak_memory_bytes),
        ]
        for name, cost in report.steps.items()
    ]
    print_table("one training step, per triplet", ["step", "ms", "", "GMACs", "peak"], rows)


def _memory(value: int | None) -> str:
    """Return a number of bytes as text; a dash if it was not measured."""
    return "-" if value is None else f"{value / 1e9:.2f} GB"
