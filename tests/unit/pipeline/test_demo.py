"""The demo at a small size, with the embedded backbone and the shipped recipes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result
from videolatent_cli.cli.demo import demo_tables
from videolatent_cli.pipeline import demo
from videolatent_cli.recipe import Recipe, load_recipe
from videolatent_cli.runtime.machine import Machine

SMALL = [
    "training.max_steps=2",
    "data.num_videos=2",
    "data.num_eval_videos=3",
    "data.questions_per_video=6",
    "training.videos_per_batch=1",
]


def test_demo_makes_everything_and_a_second_run_repeats_it(
    vl: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(path: Path) -> Recipe:
        return load_recipe(path, SMALL)

    monkeypatch.setattr(demo, "load_recipe", small)
    stages: list[str] = []
    report = demo.run_demo(
        demo.DemoRequest(tmp_path / "d"),
        Machine(device="cpu"),
        lambda what, *_: stages.append(what),
    )
    latents = ["latents", "latents off", "latents mean", "latents shuffled"]
    longer = ["trained longer", "longer, shuffled"]
    assert list(report.by_hops) == ["plain SFT", *latents, *longer]
    totals = {found["all"].total for found in report.by_hops.values()}
    assert len(totals) == 1
    groups = [found.total for found in report.by_hops["latents"].values()]
    assert groups[0] == sum(groups[1:]) == totals.pop() > 0
    assert {"direction", "hops=1"} <= report.by_category["trained longer"].keys()
    assert list(report.by_category) == ["plain SFT", "latents", "trained longer"]
    (_, columns, rows), (_, _, families) = demo_tables(report)
    assert columns[:2] == ["model", f"all ({groups[0]})"]
    assert [row[0] for row in rows] == list(report.by_hops)
    assert sum(int(row[0].split("(")[1][:-1]) for row in families) == groups[0]
    assert all(path.exists() for path in report.files.values())
    assert report.answer.evidence
    assert report.peak_memory_bytes > 1e8
    assert {"render", "encode", "train quickstart", "train quickstart_sft"} <= set(stages)
    with monkeypatch.context() as patch:
        patch.setattr(demo, "run_demo", lambda *_: report)
        shown = vl("demo", "--dir", tmp_path / "d").stdout
    assert f"right: {report.right_answer}" in shown
    assert all(f"{path}\n" in shown for path in report.files.values())
    stages.clear()
    again = demo.run_demo(
        demo.DemoRequest(tmp_path / "d"),
        Machine(device="cpu"),
        lambda what, *_: stages.append(what),
    )
    assert again.by_hops == report.by_hops
    assert again.answer.answer == report.answer.answer
    assert not any(stage.startswith(("encode", "train")) for stage in stages)
    stored = json.loads((tmp_path / "d" / "quickstart_eval.json").read_text())
    assert stored["splits"]["test_iid"]["on"]["all"]["total"] == groups[0]
