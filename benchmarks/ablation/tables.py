"""The tables of the ablation grid, from all measured cells."""

from __future__ import annotations

from statistics import mean

from benchmarks.ablation.cells import (
    ABLATIONS,
    DEEP,
    LAST,
    MAIN,
    SHALLOW,
    SINGLE,
    SPLITS,
    Cell,
    Subset,
    load_rows,
    questions,
    recipe_of,
)
from benchmarks.ablation.costs import answer_steps, step_seconds
from benchmarks.ablation.leaks import leaks
from benchmarks.ablation.plot import draw
from benchmarks.ablation.seeds import accuracy, as_points, as_share, difference, lost, seeds
from benchmarks.measure import table

_BASES = ("sft", "sft_mid", "sft_long", "full")
"""Rows of comparison: plain fine-tuning with 1, 1.3 and 2 times the steps, and the method."""


def _table(preset: str, rows: dict[str, list[Cell]], split: str) -> str:
    """Return the table of one split: accuracies, and the benefit over each row of comparison."""
    deep, shallow = Subset(preset, split), Subset(preset, split, SHALLOW)
    lines = [
        [
            row,
            str(len(cells)),
            as_share(accuracy(cells, shallow)),
            as_share(accuracy(cells, deep)),
            *(
                as_points(difference(cells, rows.get(base, []), deep)) if row != base else ""
                for base in _BASES
            ),
        ]
        for row, cells in rows.items()
        if split in cells[0].splits
    ]
    return f"### {split}, preset {preset}\n\n" + table(
        ["recipe", "seeds", "1-2 hops", "3-5 hops", *(f"3-5 over {base}" for base in _BASES)], lines
    )


def _both(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the table that sets the benefit of latents beside the dependence on them."""
    bases = ("sft", "sft_mid", "sft_long", "single_sft")
    deep = Subset(preset, "test_iid")
    lines = []
    for row, cells in rows.items():
        if "shuffle" not in cells[0].splits["test_iid"]:
            continue
        # A row is compared with plain fine-tuning on batches of the same kind.
        gains = [
            as_points(difference(cells, rows.get(base, []), deep))
            if (base in SINGLE) == (row in SINGLE)
            else ""
            for base in bases
        ]
        lines.append([row, str(len(cells)), *gains, as_points(lost(cells, "shuffle", deep))])
    return (
        "### Benefit and dependence\n\nPoints on 3-5 hops of test_iid. *Benefit* is the lead over "
        "plain fine-tuning without latents: with equal steps (`sft`), 1.3 times as many "
        "(`sft_mid`), twice as many (`sft_long`, the time of `full`), or equal time where each "
        "video has one question (`single_sft`). *Dependence* is what a trained model loses with "
        "another video's latents (`shuffle`). It is no benefit: a model can depend on its latents "
        "and be no better than one without.\n\n"
        + table(
            ["recipe", "seeds", *(f"benefit over {base}" for base in bases), "dependence"], lines
        )
    )


def _single(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the table of the rows with one question per video, all splits."""
    full, sft = (rows.get(row, []) for row in SINGLE)
    if not full or not sft:
        return ""
    lines = []
    for split in full[0].splits:
        deep, shallow = Subset(preset, split), Subset(preset, split, SHALLOW)
        shares = [as_share(accuracy(cells, deep)) for cells in (full, sft)]
        gains = [as_points(difference(full, sft, part)) for part in (deep, shallow)]
        over_full = as_points(difference(full, rows.get("full", []), deep))
        lines.append([split, *shares, *gains, over_full])
    steps = [recipe_of(row, preset, 0)[1].training.max_steps for row in SINGLE]
    seconds = [mean(cell.train_seconds for cell in cells) for cells in (full, sft)]
    return (
        "### One question per video in a micro batch\n\nThe whole method and plain fine-tuning of "
        f"equal time: {steps[0]:,} and {steps[1]:,} steps, {seconds[0]:,.0f} and {seconds[1]:,.0f} "
        f"s, trained side by side; {len(full)} and {len(sft)} seeds. The last column compares "
        "with `full`, whose batches have as many questions, eight per video.\n\n"
        + table(
            [
                "split",
                *(f"3-5 hops, {row}" for row in SINGLE),
                "3-5 gained",
                "1-2 gained",
                "3-5 over full",
            ],
            lines,
        )
    )


def _causal(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the table of points lost when latents are replaced, hard questions of test_iid."""
    columns = {name: (name, DEEP) for name in ABLATIONS}
    columns["shuffle, 3 hops alone"] = ("shuffle", range(3, 4))
    asked = [(name, Subset(preset, "test_iid", hops)) for name, hops in columns.values()]
    lines = [
        [row, *(as_points(lost(cells, name, part)) for name, part in asked)]
        for row, cells in rows.items()
        if set(ABLATIONS) <= cells[0].splits["test_iid"].keys()
    ]
    return (
        "### Dependence: points lost on 3-5 hops of test_iid when the latents are replaced\n\n"
        + table(["recipe", *columns], lines)
    )


def _latents(rows: dict[str, list[Cell]]) -> str:
    """Return the table of losses and latent statistics at the end of training."""
    columns = {
        "alignment loss": "alignment",
        "diversity loss": "diversity",
        "bottleneck loss": "bottleneck",
        "cosine within a triplet": "similarity_within",
        "cosine between triplets": "similarity_between_block_1",
        "effective rank": "effective_rank",
        "scale": "scale",
    }
    lines = []
    for row, cells in rows.items():
        known = [cell.last for cell in cells if "scale" in cell.last]
        values = [[last[name] for last in known if name in last] for name in columns.values()]
        if known:
            lines.append([row, *(f"{mean(found):.2f}" if found else "" for found in values)])
    return (
        f"### Latents at the end of training\n\nMeans over the last {LAST} steps. Cosines between "
        "triplets are those of the first block. A row has no value for a loss that it does not "
        "use.\n\n" + table(["recipe", *columns], lines)
    )


def _families(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the table of accuracy by question family on test_iid, without intervals."""
    rows = {row: cells for row, cells in rows.items() if row in (*MAIN, *SINGLE)}
    asked = questions(preset, "test_iid")
    lines = []
    for hops, family in sorted({(one.hops, one.family) for one in asked}):
        places = [i for i, one in enumerate(asked) if one.family == family]
        shares = []
        for cells in rows.values():
            bits = [cell.splits["test_iid"]["on"][place] for cell in cells for place in places]
            shares.append(f"{bits.count('1') / len(bits):.2f}")
        lines.append([f"{family} ({hops})", str(len(places)), *shares])
    return "### test_iid by family (hops)\n\n" + table(["family", "questions", *rows], lines)


def _costs(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the table of training and answering cost, measured now on one machine."""
    seconds = step_seconds(list(rows), preset)
    plain = seconds.get("sft", float("nan"))
    steps = {row: recipe_of(row, preset, 0)[1].training.max_steps or 0 for row in rows}
    base = steps.get("sft", 0) * plain
    lines = [
        [
            row,
            f"{seconds[row]:.2f}",
            f"{seconds[row] / plain:.2f}x",
            str(steps[row]),
            f"{steps[row] * seconds[row] / base:.2f}x",
            f"{answer_steps(row, preset):.1f}",
        ]
        for row in rows
    ]
    return (
        "### Cost of training and of an answer\n\nCPU seconds per step; the rows take turns in one "
        "run. Passes of an answer: sequential forward passes of a right answer to a question of "
        "3-5 hops, one per token and one per block of latents.\n\n"
        + table(
            ["recipe", "s per step", "over SFT", "steps", "total, over SFT", "passes of an answer"],
            lines,
        )
    )


def run(preset: str = "cpu") -> str:
    """Return the section of all measured cells; draw its plot beside the cells."""
    intro = (
        "## Ablation\n\nRows are recipes of `recipes/eventworld` or entries of "
        "`benchmarks/ablation/grid.yaml`, with the same backbone, data and seeds. Accuracy is "
        "the mean over seeds; differences are in points, paired by question and by seed. All "
        "intervals are 95 % and count the questions of one seed once: Student's t over seeds, or "
        "over questions (Wilson; for differences a bootstrap over videos), whichever reaches "
        "further. `*` marks differences of one seed, whose interval is over videos only and says "
        "nothing about other seeds. "
        "`python -m benchmarks.ablation --preset cpu --seeds 3`, then "
        "`python -m benchmarks ablation`."
    )
    rows = load_rows(preset)
    if not rows:
        return f"{intro}\n\nNothing measured yet."
    measured = [s for s in SPLITS if any(s in cells[0].splits for cells in rows.values())]
    plot = f"![accuracy of each recipe on each split](raw/{draw(preset, rows).name})"
    compared = {row: cells for row, cells in rows.items() if row not in SINGLE}
    sections = [
        intro,
        plot,
        _both(preset, rows),
        seeds(preset, rows),
        *(_table(preset, compared, split) for split in measured),
        _single(preset, rows),
        _causal(preset, rows),
        _latents(rows),
        _families(preset, rows),
        leaks(preset, rows),
        _costs(preset, rows),
    ]
    return "\n\n".join(section for section in sections if section)
