"""The tables of the grid, from cells made by hand."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.ablation import cells as ablation_cells
from benchmarks.ablation import costs as ablation_costs
from benchmarks.ablation import leaks as ablation_leaks
from benchmarks.ablation import run
from benchmarks.ablation import tables as ablation_tables
from benchmarks.ablation.cells import (
    ABLATIONS,
    Asked,
    Cell,
    Subset,
    backbone_hash,
    grid_rows,
    last_steps,
    load_cell,
    load_rows,
    questions,
    recipe_of,
)
from benchmarks.ablation.leaks import Guess, guesses, leaks
from benchmarks.ablation.plot import draw
from benchmarks.ablation.seeds import (
    OverSeeds,
    accuracy,
    as_points,
    as_share,
    difference,
    lost,
    seeds,
)
from videolatent_cli.data.eventworld.world import Event, Kind, World, WorldState
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.evaluation.statistics import Accuracy
from videolatent_cli.recipe import resolved

DEEP, SHALLOW = Subset("cpu", "test_iid"), Subset("cpu", "test_iid", ablation_cells.SHALLOW)


@pytest.fixture(autouse=True)
def four_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = (("a", 1), ("a", 3), ("b", 4), ("b", 5))
    asked = tuple(Asked(video, hops, f"of_{hops}") for video, hops in pairs)
    for module in (ablation_cells, ablation_tables):
        monkeypatch.setattr(module, "questions", lambda preset, split: asked)


def cell(row: str, seed: int, **answers: str) -> Cell:
    splits = {"test_iid": answers}
    recipe = resolved(recipe_of(row, "cpu", seed)[1])
    return Cell(row, seed, recipe, backbone_hash(), 9.0, splits)


def test_questions_are_those_that_a_run_is_asked() -> None:
    asked = questions("cpu", "test_iid")
    data = recipe_of("sft", "cpu", 0)[1].data
    assert data.type == "eventworld"
    assert len({one.video for one in asked}) == data.num_eval_videos
    assert {one.hops for one in asked} == {1, 2, 3, 4, 5}
    assert ("next_shape", 3) in {(one.family, one.hops) for one in asked}


def test_questions_are_chosen_by_depth() -> None:
    one = cell("sft", 0, on="1010")
    assert (SHALLOW.right(one), SHALLOW.videos()) == ([True], ["a"])
    assert DEEP.right(one) == [False, True, False]
    assert DEEP.videos() == ["a", "b", "b"]


def test_a_cell_with_another_number_of_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        DEEP.right(cell("sft", 0, on="101"))


def test_differences_pair_only_the_seeds_that_both_have() -> None:
    full = [cell("full", 0, on="1111"), cell("full", 2, on="0000")]
    sft = [cell("sft", 0, on="1000"), cell("sft", 1, on="1111")]
    found = difference(full, sft, DEEP)
    assert found == OverSeeds([1.0], (1.0, 1.0))
    assert difference(full, [cell("sft", 7, on="1000")], DEEP) is None


def test_tables_come_from_files_of_the_recipes_and_the_backbone_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation_cells, "FOLDER", tmp_path)
    monkeypatch.setattr(ablation_costs, "STEPS", 2)
    guess = Guess(2, "next_color", 0.5, 1.0)
    monkeypatch.setattr(ablation_leaks, "guesses", lambda preset: [guess])
    assert "Nothing measured yet." in run()
    (tmp_path / "cpu").mkdir()
    replaced = dict.fromkeys(ABLATIONS, "1000")
    full = cell("full", 0, on="1110", **replaced)
    kept = [cell("sft", 0, on="1000"), replace(full, last={"scale": 2.0, "alignment": 0.25})]
    kept += [cell("single_full", 0, on="0111", **replaced), cell("single_sft", 0, on="1101")]
    stale = [replace(kept[0], row="pair"), replace(kept[0], seed=1, backbone="older")]
    for one in [*kept, *stale]:
        path = tmp_path / "cpu" / f"{one.row}-{one.seed}.json"
        path.write_text(json.dumps(asdict(one)), encoding="utf-8")
    assert load_cell(tmp_path / "cpu" / "sft-9.json", "cpu") is None
    found = {row: len(cells) for row, cells in load_rows("cpu").items()}
    assert found == dict.fromkeys(("sft", "full", "single_full", "single_sft"), 1)
    page = run()
    assert "| full | 1 | 1.000 [0.21, 1.00] | 0.667 [0.21, 0.94] | +66.7* [" in page
    both = page.split("### Benefit and dependence")[1].split("###")[0]
    assert "| full | 1 | +66.7* [50.0, 100.0] |  |  |  | +66.7* [" in both
    assert "| single_full | 1 |  |  |  | +33.3* [0.0, 50.0] | +100.0* [" in both
    single = next(line for line in page.splitlines() if line.startswith("| test_iid |"))
    assert single.startswith("| test_iid | 1.000 [0.44, 1.00] | 0.667 [0.21, 0.94] | +33.3* [")
    assert single.endswith("| -100.0* [-100.0, -100.0] | +33.3* [0.0, 50.0] |")  # over sft, full
    assert "| single_full |" not in page.split("### test_iid, preset")[1].split("### One")[0]
    lost = page.split("latents are replaced")[1].split("###")[0]
    assert "| full | +66.7* [" in lost
    assert lost.count("| +100.0* [100.0, 100.0] |\n") == 2  # the question of 3 hops, in both rows
    assert "steps, 9 and 9 s, trained side by side; 1 and 1 seeds" in page
    assert "| pair |" not in page
    assert "| full | 0.25 |  |  |  |  |  | 2.00 |" in page
    costs = dict(row[2:].split(" | ", 1) for row in page.split("Cost of")[1].splitlines()[6:8])
    assert costs["sft"].endswith("| 2.0 |")  # a word and the end of turn
    assert costs["full"].endswith("| 4.0 |")  # and two blocks
    assert "(raw/cpu.svg)" in page
    plot = (tmp_path / "cpu.svg").read_bytes()
    assert b"test_iid, 3-5 hops" in plot
    assert draw("cpu", load_rows("cpu")).read_bytes() == plot
    assert "test_long" not in page
    assert "| of_5 (5) | 1 | 0.00 | 0.00 |" in page
    assert "| of_3 (3) | 1 | 0.00 | 1.00 |" in page
    assert "| sft | " in page.split("Cost of training")[1]
    assert " | 1.00x | 2100 | 1.00x |" in page


def test_the_end_of_a_training_is_the_mean_of_its_last_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bottleneck is not applied in each step."""
    monkeypatch.setattr(ablation_cells, "LAST", 2)
    log = [
        {"parts": {"answer": 9.0}, "latents": {"scale": 9.0}},
        {"parts": {"answer": 1.0, "bottleneck": 0.5}, "latents": {"scale": 2.0}},
        {"parts": {"answer": 3.0}, "latents": {"scale": 4.0}},
    ]
    assert last_steps(log) == {"answer": 2.0, "bottleneck": 0.5, "scale": 3.0}


def test_guesses_know_what_moved_and_not_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red and blue end elsewhere, green comes back, yellow never moves; the question names red."""
    kinds = ("red circle", "blue square", "green cross", "yellow triangle")
    objects = tuple(Kind(*kind.split()) for kind in kinds)
    moves = ((0, "left"), (1, "left"), (2, "up"), (2, "down"))
    events = tuple(
        Event(slot, "move", who, None, way, 0, 1) for slot, (who, way) in enumerate(moves)
    )
    cells = ((1, 4, 5, 8), (0, 4, 5, 8), (0, 3, 5, 8), (0, 3, 2, 8), (0, 3, 5, 8))
    world = World("test_iid", 0, objects, tuple(WorldState(where) for where in cells), events)
    asked = Triplet(
        id="a",
        video="a.mp4",
        question="Which color moved right after the red circle moved?",
        answer="blue",
        category=["next_color"],
        meta={"hops": 3},
    )
    shallow = asked.model_copy(update={"meta": {"hops": 2}})
    pairs = [(world, [shallow, asked])]
    monkeypatch.setattr(ablation_leaks, "eventworld_triplets", lambda *asked: pairs)
    assert guesses("cpu") == [Guess(1, "next_color", displaced=1.0, moved=0.5)]
    page = leaks(
        "cpu", {"leak_ends": [cell("leak_ends", 0, on="01"), cell("leak_ends", 1, on="10")]}
    )
    assert "| next_color | 1 |  | 0.50 |  | 1.00 | 0.50 |" in page


ALLOWED = {
    "sft": "latent loss training.max_steps",
    "lean": "latent loss training.max_steps",
    "single": "latent loss training.max_steps training.videos_per_batch "
    "training.triplets_per_video training.gradient_accumulation_steps",
    "markers": "latent loss",
    "pause": "latent loss",
    "coconut": "latent loss",
    "ce": "loss",
    "alignment": "loss",
    "diversity": "loss",
    "pair": "loss",
    "no": "loss",
    "teacher": "loss",
    "cot": "latent loss data.target data.rationale",
    "blocks": "latent",
    "latents": "latent",
    "relook": "latent",
    "positions": "latent",
    "leak": "latent loss data.visible",
}


def test_rows_differ_from_the_whole_method_only_in_what_they_name() -> None:
    names = grid_rows().keys()
    assert {name.split("_")[0] for name in names} == {"full", *ALLOWED}
    whole = resolved(recipe_of("full", "cpu", 0)[1])
    for name in names - {"full"}:
        row = resolved(recipe_of(name, "cpu", 0)[1])
        changed = {
            f"{section}.{key}" if section in ("data", "training") else section
            for section, value in whole.items()
            for key in (value if section in ("data", "training") else [None])
            if row[section] != value and (key is None or row[section][key] != value[key])
        }
        assert changed, name
        assert changed <= set(ALLOWED[name.split("_")[0]].split()), name


def test_every_committed_cell_is_of_the_grid_as_it_is() -> None:
    """Cells that were measured when each row was a recipe file, and `visible` was `seen`."""
    paths = sorted((ablation_cells.FOLDER / "cpu").glob("*.json"))
    assert len(paths) > 50
    for path in paths:
        assert load_cell(path, "cpu") is not None, path.name


def test_an_interval_over_seeds_by_hand() -> None:
    # mean 11.533, standard deviation 1.650, t(2) 4.303: 11.533 +- 4.303 * 1.650 / sqrt(3)
    narrow = OverSeeds([0.12, 0.129, 0.097], (0.10, 0.13))
    assert as_points(narrow) == "+11.5 [7.4, 15.6]"
    wide = OverSeeds([0.12, 0.129, 0.097], (0.05, 0.13))
    assert as_points(wide) == "+11.5 [5.0, 15.6]"
    assert as_points(OverSeeds([0.12], (0.10, 0.13))) == "+12.0* [10.0, 13.0]"
    assert as_share(OverSeeds([0.9, 1.0], (0.9, 0.99))) == "0.950 [0.31, 1.00]"
    assert as_points(None) == as_share(None) == ""


def test_differences_and_losses_have_one_value_per_seed() -> None:
    a = [cell("full", seed, on=bits, shuffle="0000") for seed, bits in enumerate(("0111", "0110"))]
    b = [cell("sft", seed, on="0010") for seed in (0, 1)]
    found = difference(a, b, DEEP)
    assert found is not None
    assert found.by_seed == pytest.approx([2 / 3, 1 / 3])
    # The mean gain of the questions is 1, 0, 1/2; of the videos: 1 and two of 1/4.
    assert found.questions == pytest.approx((0.25, 1.0))
    assert lost(a, "shuffle", DEEP).by_seed == pytest.approx([1.0, 2 / 3])


def test_seeds_do_not_multiply_the_questions() -> None:
    """Three equal seeds say as much about other questions as one."""
    one = [cell("full", 0, on="1110")]
    three = [cell("full", seed, on="1110") for seed in range(3)]
    assert accuracy(three, DEEP) == OverSeeds([2 / 3] * 3, Accuracy(2, 3).interval())
    assert as_share(accuracy(three, DEEP)) == as_share(accuracy(one, DEEP))
    base = [cell("sft", seed, on="1010") for seed in range(3)]
    many, few = difference(three, base, DEEP), difference(one, base, DEEP)
    assert many is not None
    assert few is not None
    assert many.interval() == few.interval()
    assert accuracy([], DEEP) is None


def test_seeds_that_differ_widen_the_interval() -> None:
    a = [cell("full", seed, on=bits) for seed, bits in enumerate(("0111", "0000", "0111"))]
    found = accuracy(a, DEEP)
    assert found is not None
    low, high = found.interval()
    assert low < 0 < 1 < high  # clipped where it is shown
    assert as_share(found) == "0.667 [0.00, 1.00]"


def test_the_section_of_seeds_has_one_p_value_per_seed() -> None:
    rows = {
        "full": [cell("full", seed, on="0111") for seed in (0, 1)],
        "sft": [cell("sft", 0, on="0000"), cell("sft", 1, on="0111")],
    }
    line = next(line for line in seeds("cpu", rows).splitlines() if line.startswith("| full - sft"))
    assert line.endswith("| +100.0, +0.0 | 0.25, 1 |")
