"""`vl eval` and `vl eval compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videolatent_cli.cli.errors import DefaultGroup
from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Device
from videolatent_cli.cli.output import print_json, print_table, progress_bars

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

app = typer.Typer(cls=DefaultGroup, help="Accuracy of a run; what its latents are worth.")


@app.command("run")
def evaluate(  # noqa: PLR0913 - the options of the command
    run: Annotated[Path | None, typer.Argument(help="Run folder (default: newest).")] = None,
    data: Annotated[Path | None, typer.Option(help="Triplets (default: the recipe's).")] = None,
    ablate: Annotated[
        str | None,
        typer.Option(help="Measure too: latents=off,shuffle (also markers, zero, mean, noise)."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most videos of a split.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer (default: 32, or 128 of rationales).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the document with all answers.")
    ] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Measure accuracy on held-out questions, with 95 % intervals ('run' may be left out).

    Example: vl eval runs/quickstart --ablate latents=off,mean,shuffle
    """
    from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run

    names = ablate.removeprefix("latents=").split(",") if ablate else []
    with progress_bars() as show:
        request = EvalRequest(run, data, names, limit, max_new_tokens)
        report = evaluate_run(request, cache_dir, device, show)
    document = report.document()
    if out is not None:
        out.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(document)
        return
    for split, found in document["splits"].items():
        print_table(f"{document['run']} on {split}", ["category", *found], _rows(found, cell))
        replaced = {name: result for name, result in found.items() if name != "on"}
        if replaced:
            title = "what it costs: points lost [95 %], divergence of the answer (nats)"
            print_table(title, ["category", *replaced], _rows(replaced, _cost))


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Run folder, or a file of vl eval -o.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Compare two models on the same questions: paired difference with interval and test.

    Example: vl eval compare runs/quickstart runs/quickstart_sft
    """
    from videolatent_cli.pipeline.compare import compare_runs

    with progress_bars() as show:
        comparison = compare_runs(a, b, cache_dir, device, show)
    if as_json:
        print_json(comparison.document())
        return
    for split, found in comparison.splits.items():
        rows = [
            [
                name,
                cell(one.a.document()),
                cell(one.b.document()),
                _interval(one.difference.document()),
                f"{one.difference.only_a}:{one.difference.only_b}",
                f"{one.difference.p:.3g}",
            ]
            for name, one in found.items()
        ]
        columns = ["category", "A", "B", "A - B, points", "only A : only B", "McNemar p"]
        print_table(f"A {comparison.a}, B {comparison.b}, on {split}", columns, rows)


def _rows(found: Mapping[str, Any], show: Callable[[Mapping[str, Any]], str]) -> list[list[str]]:
    """Return one row a category, one cell an ablation."""
    categories = next(iter(found.values()))["by_category"]
    rows = [["all", *(show(result["all"]) for result in found.values())]]
    return rows + [
        [name, *(show(result["by_category"][name]) for result in found.values())]
        for name in categories
    ]


def cell(value: Mapping[str, Any]) -> str:
    """Return accuracy, interval and number of questions as text, and what was not readable."""
    text = f"{value['accuracy']:.3f} [{value['low']:.2f}, {value['high']:.2f}] n={value['total']}"
    unparsed = value.get("unparsed", 0)
    return f"{text} ({unparsed} unparsed)" if unparsed else text


def _cost(value: Mapping[str, Any]) -> str:
    """Return what an ablation costs."""
    return f"{_interval(value['drop'])} kl={value['answer_kl']:.2f}"


def _interval(difference: Mapping[str, Any]) -> str:
    """Return a difference in points with its interval."""
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
