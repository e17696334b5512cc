"""Page of a probe: diagnostics, ablations, and words and attention of the latents."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from videolatent_cli.evaluation.evaluate import accuracy, difference
from videolatent_cli.evaluation.measure_latents import reasoning
from videolatent_cli.report.page import Block, Heading, Picture, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from videolatent_cli.evaluation.ablation import Ablation
    from videolatent_cli.evaluation.diagnostics import Diagnostic
    from videolatent_cli.evaluation.evaluate import Judged
    from videolatent_cli.evaluation.measure_latents import LatentView, ProbeResult

DIAGNOSTIC_COLUMNS = ("code", "failure mode", "measured", "alarm when", "state", "remedy")


def diagnostic_rows(diagnostics: Sequence[Diagnostic]) -> list[list[str]]:
    """Return one row per failure mode; the remedy is given only if the alarm is raised."""
    rows = []
    for diagnostic in diagnostics:
        state = {True: "alarm", False: "ok", None: "not measured"}[diagnostic.raised]
        measured = ", ".join(f"{name} {value:.3g}" for name, value in diagnostic.measured.items())
        failure = diagnostic.failure
        remedy = failure.remedy if diagnostic.raised else ""
        rows.append([failure.code, failure.name, measured, failure.alarm, state, remedy])
    return rows


def probe_blocks(probe: ProbeResult, sheets: Sequence[Image.Image]) -> list[Block]:
    """Return the page of a probe.

    Args:
        probe: Measurements to show.
        sheets: Contact sheet of each of the probe's views.
    """
    blocks: list[Block] = [
        Heading("Diagnostics"),
        Table(DIAGNOSTIC_COLUMNS, diagnostic_rows(probe.diagnostics)),
        *dependence_blocks(probe.judged),
    ]
    if probe.words:
        blocks += [
            Heading("Most likely words at each latent"),
            Text(
                "Most likely next words at the position of each latent, over all questions.",
                note=True,
            ),
            Table(("latent", "words"), _word_rows(probe.words)),
        ]
    if probe.views:
        blocks += [Heading("Frames that the latents attend to")]
    for view, sheet in zip(probe.views, sheets, strict=True):
        blocks += [picture(sheet, view.triplet.question), _view_table(view)]
    return blocks


def dependence_blocks(
    judged: Mapping[Ablation, Sequence[Judged]], where: str = ""
) -> tuple[Block, ...]:
    """Return the section on how much the answers depend on the latents.

    Args:
        judged: Judged answers under each ablation.
        where: What to add to the heading.
    """
    note = (
        "Dependence is no benefit: a model can need its latents and be no better than one without "
        "any. Compare with plain fine-tuning on the same data: vl eval compare."
    )
    heading = Heading(f"Dependence of the answers on the latents{where}")
    return heading, Text(note, note=True), ablation_table(judged)


def ablation_table(judged: Mapping[Ablation, Sequence[Judged]]) -> Table:
    """Return the accuracy under each ablation, and the loss on questions that need reasoning."""
    deep = reasoning(judged["on"])
    unchanged = [judged["on"][i] for i in deep]
    rows = []
    for name, answers in judged.items():
        kl = sum(answer.answer_kl for answer in answers) / len(answers)
        cost = ""
        if name != "on":
            cost = str(difference(unchanged, [answers[i] for i in deep]))
        rows.append([name, str(accuracy(answers)), cost, f"{kl:.2f}" if cost else ""])
    cost = f"points lost on the {len(deep)} questions that need reasoning [95 %]"
    return Table(("latents", "accuracy [95 %]", cost, "answer KL (nats)"), rows)


def _word_rows(words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return one row per latent, numbered from 1."""
    return [[str(index + 1), ", ".join(row)] for index, row in enumerate(words)]


def _view_table(view: LatentView) -> Table:
    """Return the attention of each latent of one question to each frame group, and its words."""
    groups = len(view.attention[0]) if view.attention else 0
    rows = []
    for index, words in enumerate(view.words):
        weights = [f"{w:.2f}" for w in view.attention[index]] if view.attention else []
        rows.append([str(index + 1), *weights, ", ".join(words)])
    return Table(("latent", *(f"group {g + 1}" for g in range(groups)), "words"), rows)


def picture(sheet: Image.Image, alt: str) -> Picture:
    """Return a contact sheet as a JPEG picture of the page."""
    data = io.BytesIO()
    sheet.convert("RGB").save(data, format="JPEG", quality=85)
    return Picture(data.getvalue(), alt, "image/jpeg")
