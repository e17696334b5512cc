"""The page of a probe: diagnostics, ablations, words and looks of the latents."""

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
    from videolatent_cli.evaluation.measure_latents import Look, Probe

DIAGNOSTIC_COLUMNS = ("", "failure", "measured", "alarm when", "state", "remedy")


def diagnostic_rows(diagnostics: Sequence[Diagnostic]) -> list[list[str]]:
    """Return one row a failure mode; the remedy only where the alarm is raised."""
    rows = []
    for one in diagnostics:
        state = {True: "alarm", False: "ok", None: "not measured"}[one.raised]
        measured = ", ".join(f"{name} {value:.3g}" for name, value in one.measured.items())
        failure = one.failure
        remedy = failure.remedy if one.raised else ""
        rows.append([failure.code, failure.name, measured, failure.alarm, state, remedy])
    return rows


def probe_blocks(probe: Probe, sheets: Sequence[Image.Image]) -> list[Block]:
    """Return the page of a probe; one contact sheet for each of its looks."""
    blocks: list[Block] = [
        Heading("Diagnostics"),
        Table(DIAGNOSTIC_COLUMNS, diagnostic_rows(probe.diagnostics)),
        Heading("What the latents are worth"),
        ablation_table(probe.judged),
    ]
    if probe.words:
        blocks += [
            Heading("What each latent would say"),
            Text("Likeliest next words at each latent's position, over all questions.", note=True),
            Table(("latent", "words"), _word_rows(probe.words)),
        ]
    if probe.looks:
        blocks += [Heading("Where the latents look")]
    for look, sheet in zip(probe.looks, sheets, strict=True):
        blocks += [picture(sheet, look.triplet.question), _look_table(look)]
    return blocks


def ablation_table(judged: Mapping[Ablation, Sequence[Judged]]) -> Table:
    """Return accuracy under each ablation, and what it costs where reasoning is needed."""
    deep = reasoning(judged["on"])
    rows = []
    for name, found in judged.items():
        kl = sum(one.answer_kl for one in found) / len(found)
        cost = ""
        if name != "on":
            cost = str(difference([judged["on"][i] for i in deep], [found[i] for i in deep]))
        rows.append([name, str(accuracy(found)), cost, f"{kl:.2f}" if cost else ""])
    cost = f"points lost on the {len(deep)} questions that need reasoning [95 %]"
    return Table(("latents", "accuracy [95 %]", cost, "answer KL (nats)"), rows)


def _word_rows(words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return one row a latent."""
    return [[str(index + 1), ", ".join(row)] for index, row in enumerate(words)]


def _look_table(look: Look) -> Table:
    """Return where each latent of one question looked, and its words."""
    groups = len(look.attention[0]) if look.attention else 0
    rows = []
    for index, words in enumerate(look.words):
        weights = [f"{w:.2f}" for w in look.attention[index]] if look.attention else []
        rows.append([str(index + 1), *weights, ", ".join(words)])
    return Table(("latent", *(f"group {g + 1}" for g in range(groups)), "words"), rows)


def picture(sheet: Image.Image, alt: str) -> Picture:
    """Return a contact sheet as part of a page."""
    data = io.BytesIO()
    sheet.convert("RGB").save(data, format="JPEG", quality=85)
    return Picture(data.getvalue(), alt, "image/jpeg")
