"""The commands `vl eval run` and `vl eval compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videolatent_cli.cli.errors import DefaultGroup
from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Device
from videolatent_cli.cli.output import print_json, print_table, progress_bars
from videolatent_cli.errors import FailedItemsError
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from videolatent_cli.pipeline.evaluate import EvalReport

app = typer.Typer(
    cls=DefaultGroup,
    help="Measure the accuracy of a run, also without its latents; compare two runs.",
)
EvaluatedRun = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN",
        help="Run folder. Default: the newest, or the embedded model if there is none.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Triplet file to use instead of the recipe's evaluation splits."),
]
Ablate = Annotated[
    str | None,
    typer.Option(
        metavar="latents=NAME,...",
        help="Also measure with the latents removed (off, markers) or replaced "
        "(zero, mean, shuffle, noise).",
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of videos per split. Default: all.")
]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum number of tokens per answer. "
        "Default: 32, or 128 for a run trained on rationales.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("-o", "--out", help="JSON file to write, with all answers.")
]


@app.command("run")
def evaluate(  # noqa: PLR0913 - the options of the command
    run: EvaluatedRun = None,
    data: Data = None,
    ablate: Ablate = None,
    limit: Limit = None,
    max_new_tokens: MaxNewTokens = None,
    out: Out = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Measure accuracy on held-out questions, with 95 % intervals.

    The word 'run' may be omitted: vl eval RUN. Questions about a video that cannot be read count as
    not right, and are listed (exit code 6); with data.on_bad: skip in the run's recipe they are
    left out.

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
    else:
        for split, by_ablation in document["splits"].items():
            _print_split(f"{document['run']} on {split}{_note(report, split)}", by_ablation)
    failed = sum(map(len, report.failed.values()))
    if failed and not report.leaves_out:
        total = sum(len(by_ablation["on"]) for by_ablation in report.results.values())
        raise FailedItemsError(
            f"{document['run']}: {failed} of {total} questions are about videos that cannot be "
            "read, and count as not right; fix the videos, or remove the questions"
        )


@app.command("compare")
def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Run folder, or file written by 'vl eval -o'.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Run folder or file to compare A with.")],
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Compare two models on the same questions: paired difference, 95 % interval, test.

    Example: vl eval compare runs/quickstart runs/quickstart_sft
    """
    from videolatent_cli.pipeline.compare import CompareRequest, compare_runs

    with progress_bars() as show:
        comparison = compare_runs(CompareRequest(a, b), Machine(cache_dir, device), show)
    if as_json:
        print_json(comparison.document())
        return
    for split, by_category in comparison.splits.items():
        rows = [
            [
                name,
                str(pair.a.total),
                f"{pair.a.value:.3f}",
                f"{pair.b.value:.3f}",
                str(pair.difference),
                str(pair.difference.only_a),
                str(pair.difference.only_b),
                f"{pair.difference.p:.2g}",
            ]
            for name, pair in by_category.items()
        ]
        columns = ["category", "n", "A", "B", "A - B, points [95 %]", "only A", "only B", "p"]
        print_table(f"A {comparison.a}, B {comparison.b}, on {split}", columns, rows)


def _print_split(title: str, by_ablation: Mapping[str, Any]) -> None:
    """Print the tables of one split: accuracy, and what each ablation of the latents costs."""
    columns = ["category", "n", "accuracy [95 %]", "strict", "unparsed", "failed"]
    rows = [[name, *_own(numbers)] for name, numbers in _groups(by_ablation["on"])]
    if not by_ablation["on"]["all"]["failed"]:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    print_table(title, columns, rows)
    ablated = {name: result for name, result in by_ablation.items() if name != "on"}
    if ablated:
        columns = ["category", *ablated]
        title = "dependence on the latents: accuracy when they are replaced, points lost [95 %]"
        print_table(title, columns, _rows(ablated, _cost))
        title = "KL divergence from the answer with the model's own latents (nats)"
        print_table(title, columns, _rows(ablated, _divergence))
        typer.echo(
            "dependence is no benefit: for that, compare with plain fine-tuning (vl eval compare)"
        )


def _note(report: EvalReport, split: str) -> str:
    """Return what a table's title adds: the threshold for intervals, and what is left out."""
    from videolatent_cli.evaluation.scorers import INTERVAL_IOU

    note = ""
    if any(judged.triplet.answer_type == "interval" for judged in report.results[split]["on"]):
        note += f"; intervals are right from IoU {INTERVAL_IOU:g}"
    if report.leaves_out and split in report.failed:
        count = len(report.failed[split])
        note += f"; {count} questions about unreadable videos are left out"
    return note


def _groups(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the numbers of all questions, then those of each category."""
    return [("all", result["all"]), *result["by_category"].items()]


def _rows(
    ablated: Mapping[str, Any], as_cell: Callable[[Mapping[str, Any]], str]
) -> list[list[str]]:
    """Return one row per category, with one cell per ablation."""
    columns = [_groups(result) for result in ablated.values()]
    return [
        [row[0][0], *(as_cell(numbers) for _, numbers in row)] for row in zip(*columns, strict=True)
    ]


def _own(numbers: Mapping[str, Any]) -> list[str]:
    """Return the cells of a category: questions, accuracy, share of exact answers, unparsed."""
    from videolatent_cli.evaluation.statistics import Accuracy

    return [
        str(numbers["total"]),
        str(Accuracy(numbers["right"], numbers["total"])),
        f"{numbers['strict'] / max(1, numbers['total']):.3f}",
        str(numbers["unparsed"]),
        str(numbers["failed"]),
    ]


def _cost(numbers: Mapping[str, Any]) -> str:
    """Return the accuracy of an ablation and the points lost, short enough for six columns."""
    mean, low, high = (100 * numbers["drop"][key] for key in ("mean", "low", "high"))
    return f"{numbers['accuracy']:.2f} {mean:+.0f} [{low:.0f}, {high:.0f}]"


def _divergence(numbers: Mapping[str, Any]) -> str:
    """Return the divergence between the answer distributions with and without an ablation."""
    return f"{numbers['answer_kl']:.2f}"
