"""`vl demo`: the whole job once, on rendered videos, with real numbers at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from videolatent_cli.evaluation.evaluate import Judged, accuracy
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.check import check_data
from videolatent_cli.pipeline.evaluate import EvalReport, EvalRequest, evaluate_run
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.pipeline.rundir import RunDir
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import load_recipe, write_json
from videolatent_cli.report.curves import plot_curves
from videolatent_cli.shipped import shipped_recipe
from videolatent_cli.training.metrics import peak_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from videolatent_cli.evaluation.ablation import Ablation
    from videolatent_cli.pipeline.documents import Answer

_LATENTS, _SFT = "quickstart", "quickstart_sft"
_ABLATIONS: tuple[Ablation, ...] = ("on", "off", "mean", "shuffle")
_SPLIT = "test_iid"


@dataclass(frozen=True)
class DemoReport:
    """What the demo measured and made."""

    columns: list[str]
    rows: list[tuple[str, list[dict[str, Any]]]]
    """Name of a group of questions, and the accuracy of each column."""
    asked_video: Path
    right_answer: str
    answer: Answer
    files: dict[str, Path]
    seconds: float
    peak_memory_bytes: int


def run_demo(folder: Path, device: str, progress: Progress = silent) -> DemoReport:
    """Render, check, cache, train with and without latents, evaluate, ablate, ask.

    Args:
        folder: Where everything goes; what is there already is not made again.
        device: A torch device, or `auto`.
        progress: Called with (what, done, total).
    """
    started = time.perf_counter()
    cache_dir = folder / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    path = shipped_recipe(_LATENTS)
    dataset = recipe_dataset(load_recipe(path), path.parent, cache_dir, progress)
    check_data(path, cache_dir, folder / "quarantine.jsonl", deep=False, progress=progress)
    reports: dict[str, EvalReport] = {}
    for name in (_LATENTS, _SFT):
        _train(name, folder, cache_dir, device, progress)
        wanted = EvalRequest(folder / name, ablations=_ABLATIONS if name == _LATENTS else ())
        reports[name] = evaluate_run(wanted, cache_dir, device, progress)
        write_json(folder / f"{name}_eval.json", reports[name].document())
    columns = _columns(reports)
    triplet = next(t for t in dataset.splits[_SPLIT] if t.meta["hops"] >= 3)
    sheet = folder / "sheet.png"
    request = AskRequest(dataset.path(triplet), triplet.question, sheet=sheet)
    answer = ask(request, folder / _LATENTS, cache_dir, device)
    write_json(folder / "answer.json", answer.model_dump(mode="json", by_alias=True))
    curves = folder / "curves.png"
    logs = {name: list(RunDir(folder / name).read_log()) for name in (_LATENTS, _SFT)}
    plot_curves(logs, curves)
    return DemoReport(
        columns=list(columns),
        rows=_rows(columns),
        asked_video=request.video,
        right_answer=triplet.answer,
        answer=answer,
        files={
            "training curves": curves,
            "contact sheet": sheet,
            "answer": folder / "answer.json",
            "evaluations": folder / f"{_LATENTS}_eval.json",
            "run": folder / _LATENTS,
            "run without": folder / _SFT,
            "videos": dataset.media_root,
        },
        seconds=time.perf_counter() - started,
        peak_memory_bytes=peak_memory_bytes(torch.device("cpu")),
    )


def _train(
    name: str,
    folder: Path,
    cache_dir: Path,
    device: str,
    progress: Progress,
) -> None:
    """Train one of the shipped recipes."""
    path = shipped_recipe(name)
    request = TrainRequest(
        recipe=load_recipe(path),
        source=path.read_text(encoding="utf-8"),
        run_dir=folder / name,
        cache_dir=cache_dir,
        base_dir=path.parent,
        device=device,
        resume_command=f"vl demo --dir {folder}",
    )
    train(request, lambda result, total: progress(f"train {name}", result.step, total), progress)


def _columns(reports: dict[str, EvalReport]) -> dict[str, Sequence[Judged]]:
    """Return the judged answers of each column of the table."""
    latents = reports[_LATENTS].results[_SPLIT]
    return {
        "plain SFT": reports[_SFT].results[_SPLIT]["on"],
        "latents": latents["on"],
        "latents off": latents["off"],
        "mean": latents["mean"],
        "shuffled": latents["shuffle"],
    }


def _rows(
    columns: dict[str, Sequence[Judged]],
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the table: all questions, groups by hops, families."""
    judged = next(iter(columns.values()))
    families = sorted({one.triplet.category[0] for one in judged})
    tests: list[tuple[str, Callable[[Judged], bool]]] = [
        ("all", lambda _: True),
        ("1-2 hops", lambda one: one.triplet.meta["hops"] <= 2),
        ("3 hops", lambda one: one.triplet.meta["hops"] == 3),
        ("4-5 hops", lambda one: one.triplet.meta["hops"] >= 4),
        *((name, lambda one, name=name: one.triplet.category[0] == name) for name in families),
    ]
    return [
        (
            name,
            [
                accuracy([one for one in found if test(one)]).document()
                for found in columns.values()
            ],
        )
        for name, test in tests
    ]
