"""`vl eval` and `vl eval compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videolatent_cli.cli.errors import DefaultGroup
from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Device
from videolatent_cli.cli.output import print_json, print_table, progress_bars
from videolatent_cli.runtime.machine import Machine

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
        report = evaluate_run(request, Machine(cache_dir, device), show)
    document = report.document()
    if out is not None:
        out.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(document)
        return
    for split, found in document["splits"].items():
        columns = ["category", "n", "accuracy [95 %]", "strict", "unparsed"]
        own = [[name, *_own(value)] for name, value in _groups(found["on"])]
        print_table(f"{document['run']} on {split}", columns, own)
        replaced = {name: result for name, result in found.items() if name != "on"}
        if replaced:
            columns = ["category", *replaced]
            title = "latents replaced: accuracy, points lost [95 %]"
            print_table(title, columns, _rows(replaced, _cost))
            title = "divergence of the answer from that with the model's own latents (nats)"
            print_table(title, columns, _rows(replaced, _divergence))


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
    from videolatent_cli.pipeline.compare import CompareRequest, compare_runs

    with progress_bars() as show:
        comparison = compare_runs(CompareRequest(a, b), Machine(cache_dir, device), show)
    if as_json:
        print_json(comparison.document())
        return
    for split, found in comparison.splits.items():
        rows = [
            [
                name,
                str(one.a.total),
                f"{one.a.value:.3f}",
                f"{one.b.value:.3f}",
                str(one.difference),
                str(one.difference.only_a),
                str(one.difference.only_b),
                f"{one.difference.p:.2g}",
            ]
            for name, one in found.items()
        ]
        columns = ["category", "n", "A", "B", "A - B, points [95 %]", "only A", "only B", "p"]
        print_table(f"A {comparison.a}, B {comparison.b}, on {split}", columns, rows)


def _groups(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the numbers of all questions, then those of each category."""
    return [("all", result["all"]), *result["by_category"].items()]


def _rows(found: Mapping[str, Any], show: Callable[[Mapping[str, Any]], str]) -> list[list[str]]:
    """Return one row a category, one cell an ablation."""
    groups = [_groups(result) for result in found.values()]
    return [[row[0][0], *(show(one) for _, one in row)] for row in zip(*groups, strict=True)]


def _own(value: Mapping[str, Any]) -> list[str]:
    """Return questions, accuracy, share of answers right to the letter, answers not readable."""
    from videolatent_cli.evaluation.statistics import Accuracy

    return [
        str(value["total"]),
        str(Accuracy(value["right"], value["total"])),
        f"{value['strict'] / value['total']:.3f}",
        str(value["unparsed"]),
    ]


def _cost(value: Mapping[str, Any]) -> str:
    """Return the accuracy under an ablation and what it costs, short: six of them stand abreast."""
    mean, low, high = (100 * value["drop"][key] for key in ("mean", "low", "high"))
    return f"{value['accuracy']:.2f} {mean:+.0f} [{low:.0f}, {high:.0f}]"


def _divergence(value: Mapping[str, Any]) -> str:
    """Return how far an ablation moves the answer's distribution."""
    return f"{value['answer_kl']:.2f}"
