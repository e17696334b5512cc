"""The tables of the grid, from cells made by hand."""

import json
from pathlib import Path

import pytest

from benchmarks import ablation
from benchmarks.ablation import Cell, gain, load_cells, pooled, recipe_of, run
from videolatent_cli.recipe import recipe_hash

QUESTIONS = {"test_iid": [["a", 1], ["a", 3], ["b", 4], ["b", 5]]}


def cell(row: str, seed: int, **answers: str) -> Cell:
    splits = {"test_iid": answers}
    return Cell(row, seed, recipe_hash(recipe_of(row, "cpu", seed)[1]), 0.5, 9.0, splits, QUESTIONS)


def test_seeds_are_pooled_by_depth() -> None:
    cells = [cell("sft", 0, on="1010"), cell("sft", 1, on="0001")]
    assert pooled(cells, "test_iid", False) == ([True, False], ["a", "a"])
    right, videos = pooled(cells, "test_iid", True)
    assert right == [False, True, False, False, False, True]
    assert videos == ["a", "b", "b"] * 2


def test_gains_pair_only_the_seeds_that_both_have() -> None:
    full = [cell("full", 0, on="1111"), cell("full", 2, on="0000")]
    sft = [cell("sft", 0, on="1000"), cell("sft", 1, on="1111")]
    found = gain(full, sft, "test_iid", True)
    assert found is not None
    assert (found.mean, found.total) == (1.0, 3)
    assert gain(full, [cell("sft", 7, on="1000")], "test_iid", True) is None


def test_tables_come_from_files_of_the_recipes_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "FOLDER", tmp_path)
    assert "Nothing measured yet." in run()
    (tmp_path / "cpu").mkdir()
    replaced = dict.fromkeys(ablation.ABLATIONS, "1000")
    kept = [cell("sft", 0, on="1000"), cell("full", 0, on="1110", **replaced)]
    stale = Cell(**{**kept[0].__dict__, "row": "pair"})
    for one in [*kept, stale]:
        path = tmp_path / "cpu" / f"{one.row}-{one.seed}.json"
        path.write_text(json.dumps(one.__dict__), encoding="utf-8")
    assert set(load_cells("cpu")) == {("sft", 0), ("full", 0)}
    page = run()
    assert "| full | 1 | 1.000 [0.21, 1.00] | 0.667 [0.21, 0.94] | +66.7 [" in page
    assert "| full | +66.7 [" in page.split("latents are replaced")[1]
    assert "| pair |" not in page
    assert "test_long" not in page
