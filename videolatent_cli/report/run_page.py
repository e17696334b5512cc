"""Page of a run: curves, ablations, sample questions, recipe and provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videolatent_cli.evaluation.evaluate import accuracy_by_category
from videolatent_cli.report.curves import draw_panels, run_panels
from videolatent_cli.report.page import Block, Code, Heading, Picture, Table, Text
from videolatent_cli.report.probe_page import dependence_blocks, picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from videolatent_cli.evaluation.ablation import Ablation
    from videolatent_cli.evaluation.evaluate import Judged
    from videolatent_cli.evaluation.scorers import Verdict


@dataclass(frozen=True)
class Sample:
    """Sample question with the model's answer and a contact sheet of its video."""

    question: str
    answer: str
    right_answer: str
    verdict: Verdict
    sheet: Image.Image


def run_blocks(
    details: Mapping[str, Any],
    recipe: str,
    log: Sequence[Mapping[str, Any]],
    split: str,
    judged: Mapping[Ablation, Sequence[Judged]],
    samples: Sequence[Sample],
) -> list[Block]:
    """Return the page of a run.

    Args:
        details: JSON document `vl.run/1`.
        recipe: Text of the recipe file.
        log: Entries of the step log.
        split: Name of the evaluated split.
        judged: Judged answers under each ablation.
        samples: Questions to show.
    """
    own = accuracy_by_category(judged["on"])
    rows = []
    for name, share in own.items():
        low, high = share.interval()
        rows.append([name, f"{share.value:.3f}", f"{low:.2f}-{high:.2f}", str(share.total)])
    blocks: list[Block] = [
        Table(("", ""), _summary(details, log)),
        Heading("Training"),
        Picture(draw_panels(run_panels(log)), "training curves"),
        *dependence_blocks(judged, f", on {split}"),
        Heading("Accuracy by question category"),
        Table(("category", "accuracy", "95 % interval", "questions"), rows),
        Heading("Sample questions"),
        Text(
            "Framed frames are the evidence; bars show the attention of the latents to each frame.",
            note=True,
        ),
    ]
    blocks += [picture(sample.sheet, f"{sample.question} {sample.answer}") for sample in samples]
    return [
        *blocks,
        Heading("Recipe"),
        Code(recipe),
        Heading("Provenance"),
        Code(json.dumps(details["provenance"], indent=2)),
    ]


def _summary(details: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the rows of the summary table: run, steps, time, memory and loss."""
    summary, seconds = details["summary"], sum(line["seconds"] for line in log)
    tokens = sum(line["num_tokens"] for line in log)
    memory = max((line["peak_memory_bytes"] for line in log), default=0)
    return [
        ("run", summary["run"]),
        ("recipe hash", summary["recipe_hash"]),
        ("steps", f"{summary['step']} of {summary['total_steps']}"),
        ("training time", f"{seconds:.0f} s, {tokens / max(seconds, 1e-9):.0f} tokens per second"),
        ("peak memory", f"{memory / 1e9:.2f} GB"),
        ("last loss", f"{log[-1]['loss']:.4f}" if log else ""),
    ]
