"""`vl bench`."""

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
        int, typer.Option(min=1, help="Length of a chain of thought (Video-R1's mean: 385).")
    ] = 385,
    question_tokens: Annotated[int, typer.Option(min=1, help="Length of a question.")] = 120,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Length of an answer.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements; the median counts.")] = 3,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Time answers and training steps: at once, with latents, and by chain of thought.

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
    """Print both tables; ratios are against the direct answer and plain SFT."""
    about = f"{report.parameters / 1e6:.1f} M parameters, {report.visual_tokens} visual tokens"
    base = report.answers["direct"]
    rows = [
        [
            name,
            str(cost.sequential_steps),
            f"{1000 * cost.prefill_seconds:.0f}",
            f"{1000 * cost.seconds:.0f}",
            f"{cost.seconds / base.seconds:.2f}x",
            f"{cost.tokens_per_second:.1f}",
            f"{cost.multiply_adds / 1e9:.3g}",
            _memory(cost.peak_memory_bytes),
        ]
        for name, cost in report.answers.items()
    ]
    columns = ["answer", "steps", "prefill ms", "ms", "", "tokens/s", "GMACs", "peak"]
    print_table(f"one answer on {report.device}: {about}; GMACs: 1e9 multiply-adds", columns, rows)
    first = report.steps["plain SFT"]
    rows = [
        [
            name,
            f"{1000 * cost.seconds:.0f}",
            f"{cost.seconds / first.seconds:.2f}x",
            f"{cost.multiply_adds / 1e9:.3g}",
            _memory(cost.peak_memory_bytes),
        ]
        for name, cost in report.steps.items()
    ]
    print_table("one training step, per triplet", ["step", "ms", "", "GMACs", "peak"], rows)


def _memory(value: int | None) -> str:
    """Return bytes as text; a dash where they were not measured."""
    return "-" if value is None else f"{value / 1e9:.2f} GB"
