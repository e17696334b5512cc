"""`vl eval compare`: compare two models on the same questions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.errors import DataError
from videolatent_cli.evaluation.evaluate import category_order
from videolatent_cli.evaluation.statistics import Accuracy, Difference, paired_difference
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Answers = dict[str, dict[str, Any]]
"""Answers of one split, as JSON objects, by the id of their question."""


@dataclass(frozen=True)
class Compared:
    """Accuracies of two models on the same questions, with their paired difference."""

    a: Accuracy
    b: Accuracy
    difference: Difference
    """Accuracy of A minus accuracy of B."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two models on all splits that both were evaluated on."""

    a: str
    """Path of model A, as given."""
    b: str
    """Path of model B, as given."""
    splits: dict[str, dict[str, Compared]]
    """Accuracies by split, then by category; the category `all` comes first."""

    def document(self) -> dict[str, Any]:
        """Return the comparison as the JSON document `vl.compare/1`."""
        return {
            "schema": "vl.compare/1",
            "a": self.a,
            "b": self.b,
            "splits": {
                split: {
                    name: {
                        "a": compared.a.document(),
                        "b": compared.b.document(),
                        "difference": compared.difference.document(),
                    }
                    for name, compared in by_category.items()
                }
                for split, by_category in self.splits.items()
            },
        }


@dataclass(frozen=True)
class CompareRequest:
    """Models to compare: each a run folder, which is evaluated now, or a file of `vl eval -o`."""

    a: Path
    b: Path


def compare_runs(
    request: CompareRequest, machine: Machine = Machine(), progress: Progress = silent
) -> Comparison:
    """Return the paired comparison of two models.

    Args:
        request: The two models.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).

    Raises:
        DataError: If a file is no evaluation, or the two models share no question.
    """
    answers_a = _answers(request.a, machine, progress)
    answers_b = _answers(request.b, machine, progress)
    splits = {
        split: _compare(answers_a[split], answers_b[split])
        for split in answers_a
        if split in answers_b and answers_a[split].keys() & answers_b[split].keys()
    }
    if not splits:
        raise DataError(
            f"{request.a} and {request.b}: share no question; evaluate both on the same data"
        )
    return Comparison(str(request.a), str(request.b), splits)


def _answers(path: Path, machine: Machine, progress: Progress) -> dict[str, Answers]:
    """Return the answers of a run or of an evaluation file, by split and question id."""
    if path.is_dir():
        document = evaluate_run(EvalRequest(path), machine, progress).document()
    else:
        document = _read_evaluation(path)
    return {
        split: {answer["id"]: answer for answer in by_ablation["on"]["answers"]}
        for split, by_ablation in document["splits"].items()
    }


def _read_evaluation(path: Path) -> dict[str, Any]:
    """Return the document that `vl eval -o` wrote.

    Raises:
        DataError: If the file is missing or contains something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such run or evaluation; create it with: vl eval RUN -o {path}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON, got {error}") from None
    if not isinstance(document, dict) or document.get("schema") != "vl.eval/1":
        raise DataError(f"{path}: is not an evaluation; create one with: vl eval RUN -o {path}")
    return document


def _compare(a: Answers, b: Answers) -> dict[str, Compared]:
    """Return the comparison of a split: of all shared questions first, then of each category."""
    shared = [key for key in a if key in b]
    groups: dict[str, list[str]] = {"all": shared}
    for key in shared:
        for name in a[key]["category"]:
            groups.setdefault(name, []).append(key)
    names = ["all", *sorted(groups.keys() - {"all"}, key=category_order)]
    return {name: _pair(a, b, groups[name]) for name in names}


def _pair(a: Mapping[str, Any], b: Mapping[str, Any], keys: Sequence[str]) -> Compared:
    """Return the comparison of two models on the questions with some ids."""
    right_a, right_b = [a[key]["right"] for key in keys], [b[key]["right"] for key in keys]
    return Compared(
        Accuracy(sum(right_a), len(keys)),
        Accuracy(sum(right_b), len(keys)),
        paired_difference(right_a, right_b, [a[key]["video"] for key in keys]),
    )
