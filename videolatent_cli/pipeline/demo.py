"""`vl demo`: train, evaluate and ask once on rendered videos, and report the measured accuracy."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.evaluation.evaluate import Judged, accuracy, accuracy_by_category
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.check_data import CheckRequest, check_data
from videolatent_cli.pipeline.evaluate import EvalReport, evaluate_model
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.runs.trained_model import EMBEDDED, open_model
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import load_recipe, write_json
from videolatent_cli.recipe.shipped import shipped_recipe
from videolatent_cli.report.curves import plot_curves
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.training.metrics import peak_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from videolatent_cli.evaluation.ablation import Ablation
    from videolatent_cli.evaluation.statistics import Accuracy
    from videolatent_cli.pipeline.answering.answer import Answer

_LATENTS, _SFT, _LONGER = "quickstart", "quickstart_sft", "embedded"
"""Names of the models: two recipes that the demo trains, and the embedded model."""
_COLUMNS: dict[str, tuple[str, Ablation]] = {
    "plain SFT": (_SFT, "on"),
    "latents": (_LATENTS, "on"),
    "latents off": (_LATENTS, "off"),
    "latents mean": (_LATENTS, "mean"),
    "latents shuffled": (_LATENTS, "shuffle"),
    "trained longer": (_LONGER, "on"),
    "longer, shuffled": (_LONGER, "shuffle"),
}
"""Model and ablation of each row of the accuracy table, by the title of the row."""
_SPLIT = "test_iid"
_HOPS: dict[str, tuple[int, int]] = {
    "all": (1, 9),
    "1-2 hops": (1, 2),
    "3 hops": (3, 3),
    "4-5 hops": (4, 9),
}
"""Lowest and highest number of hops (reasoning steps of a question) in each group."""


@dataclass(frozen=True)
class DemoReport:
    """Measurements and files of the demo."""

    by_hops: dict[str, dict[str, Accuracy]]
    """Accuracy of each model and ablation, by groups of hops."""
    by_category: dict[str, dict[str, Accuracy]]
    """Accuracy of each model, by family of questions and by exact number of hops."""
    asked_video: Path
    """Video that the demo asks a question about."""
    right_answer: str
    """Correct answer to that question."""
    answer: Answer
    """Answer of the model with latents to that question."""
    files: dict[str, Path]
    """Files and folders that the demo wrote, by description."""
    seconds: float
    """Wall time of the demo (s)."""
    peak_memory_bytes: int
    """Peak memory of the process."""


@dataclass(frozen=True)
class DemoRequest:
    """Folder of the demo."""

    folder: Path
    """Folder for all files; a second run reuses what the first one wrote there."""


def run_demo(
    request: DemoRequest, machine: Machine = Machine(), progress: Progress = silent
) -> DemoReport:
    """Render, check, cache, train with and without latents, evaluate, ablate, ask.

    The embedded model, trained longer on the same task, answers the same questions. Latents need
    more training steps to matter than a demonstration has.

    Args:
        request: Folder to write everything to.
        machine: Torch device; the demo keeps its own cache in its folder.
        progress: Called with (what, done, total).
    """
    started = time.perf_counter()
    folder = request.folder
    machine = replace(machine, cache_dir=folder / "cache")
    cache_dir = machine.cache_dir
    folder.mkdir(parents=True, exist_ok=True)
    path = shipped_recipe(_LATENTS)
    dataset = recipe_dataset(load_recipe(path), path.parent, cache_dir, progress)
    check_data(CheckRequest(path, folder / "quarantine.jsonl"), machine, progress)
    held_out = Dataset(dataset.evaluation, dataset.media_root)
    reports: dict[str, EvalReport] = {}
    for name in (_LATENTS, _SFT):
        _train(name, folder, machine, progress)
    for name in (_SFT, _LATENTS, _LONGER):
        ablations = [ablation for model, ablation in _COLUMNS.values() if model == name]
        trained = open_model(EMBEDDED if name == _LONGER else folder / name, machine.device)
        reports[name] = evaluate_model(trained, held_out, ablations, cache_dir, progress)
        write_json(folder / f"{name}_eval.json", reports[name].document())
    judged = {
        title: reports[name].results[_SPLIT][ablation]
        for title, (name, ablation) in _COLUMNS.items()
    }
    triplet = next(t for t in dataset.splits[_SPLIT] if t.meta["hops"] >= 3)
    sheet = folder / "sheet.png"
    video = dataset.path(triplet)
    ask_request = AskRequest(video, triplet.question, folder / _LATENTS, sheet=sheet)
    answer = ask(ask_request, machine).answer
    write_json(folder / "answer.json", answer.model_dump(mode="json", by_alias=True))
    curves = folder / "curves.png"
    logs = {name: list(RunDir(folder / name).read_log()) for name in (_LATENTS, _SFT)}
    plot_curves(logs, curves)
    return DemoReport(
        by_hops={title: _by_hops(answers) for title, answers in judged.items()},
        by_category={
            title: accuracy_by_category(judged[title])
            for title, (_, ablation) in _COLUMNS.items()
            if ablation == "on"
        },
        asked_video=video,
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


def _train(name: str, folder: Path, machine: Machine, progress: Progress) -> None:
    """Train a shipped recipe; a finished run is left as it is."""
    path = shipped_recipe(name)
    request = TrainRequest(
        recipe=load_recipe(path),
        source=path.read_text(encoding="utf-8"),
        run_dir=folder / name,
        base_dir=path.parent,
        resume_command=f"vl demo --dir {folder}",
    )

    def show(what: str, done: int, total: int) -> None:
        progress(f"train {name}" if what == "train" else what, done, total)

    train(request, machine, show)


def _by_hops(judged: Sequence[Judged]) -> dict[str, Accuracy]:
    """Return the accuracy of each group of hops."""
    return {
        name: accuracy([answer for answer in judged if low <= answer.triplet.meta["hops"] <= high])
        for name, (low, high) in _HOPS.items()
    }
