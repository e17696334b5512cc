"""`vl eval compare`: two models on the same questions."""

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
"""Answers of one split by the id of their question."""


@dataclass(frozen=True)
class Compared:
    """Two models on some questions."""

    a: Accuracy
    b: Accuracy
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """Two models by split, then by category; `all` comes first."""

    a: str
    b: str
    splits: dict[str, dict[str, Compared]]

    def document(self) -> dict[str, Any]:
        """Return the comparison as the JSON document `vl.compare/1`."""
        return {
            "schema": "vl.compare/1",
            "a": self.a,
            "b": self.b,
            "splits": {
                split: {
                    name: {
                        "a": one.a.document(),
                        "b": one.b.document(),
                        "difference": one.difference.document(),
                    }
                    for name, one in found.items()
                }
                for split, found in self.splits.items()
            },
        }


@dataclass(frozen=True)
class CompareRequest:
    """Two models: each a run folder, which is evaluated now, or a file of `vl eval -o`."""

    a: Path
    b: Path


def compare_runs(
    request: CompareRequest, machine: Machine = Machine(), progress: Progress = silent
) -> Comparison:
    """Return the paired difference of two models.

    Args:
        request: The two models.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total).

    Raises:
        DataError: Where a file is no evaluation, or the two share no question.
    """
    a, b = request.a, request.b
    found = [_answers(path, machine, progress) for path in (a, b)]
    splits = {
        split: _compare(found[0][split], found[1][split])
        for split in found[0]
        if split in found[1] and found[0][split].keys() & found[1][split].keys()
    }
    if not splits:
        raise DataError(f"{a} and {b}: share no question; evaluate both on the same data")
    return Comparison(str(a), str(b), splits)


def _answers(path: Path, machine: Machine, progress: Progress) -> dict[str, Answers]:
    """Return the answers of an evaluation by split and question."""
    if path.is_dir():
        document = evaluate_run(EvalRequest(path), machine, progress).document()
    else:
        document = _read_evaluation(path)
    return {
        split: {answer["id"]: answer for answer in found["on"]["answers"]}
        for split, found in document["splits"].items()
    }


def _read_evaluation(path: Path) -> dict[str, Any]:
    """Return the document that `vl eval -o` wrote.

    Raises:
        DataError: Where the file is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such run or evaluation; make it with: vl eval RUN -o {path}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON, got {error}") from None
    if not isinstance(document, dict) or document.get("schema") != "vl.eval/1":
        raise DataError(f"{path}: is no evaluation; make one with: vl eval RUN -o {path}")
    return document


def _compare(a: Answers, b: Answers) -> dict[str, Compared]:
    """Return the comparison of a split, all questions first, then each category."""
    shared = [key for key in a if key in b]
    groups: dict[str, list[str]] = {"all": shared}
    for key in shared:
        for name in a[key]["category"]:
            groups.setdefault(name, []).append(key)
    names = ["all", *sorted(groups.keys() - {"all"}, key=category_order)]
    return {name: _pair(a, b, groups[name]) for name in names}


def _pair(a: Mapping[str, Any], b: Mapping[str, Any], keys: Sequence[str]) -> Compared:
    """Return two models on some questions."""
    right_a, right_b = [a[key]["right"] for key in keys], [b[key]["right"] for key in keys]
    return Compared(
        Accuracy(sum(right_a), len(keys)),
        Accuracy(sum(right_b), len(keys)),
        paired_difference(right_a, right_b, [a[key]["video"] for key in keys]),
    )
