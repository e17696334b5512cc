"""Parts outside of their videos: found where data are, named, and left out alone."""

import json
from pathlib import Path

import pytest

from tests.factories import make_recipe, make_video, write_jsonl
from videolatent_cli.errors import DataError
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline import check_data as module
from videolatent_cli.pipeline.cache import CacheRequest, build_cache
from videolatent_cli.pipeline.check_data import CheckRequest, check_data
from videolatent_cli.pipeline.plan import PlanRequest, plan_recipe
from videolatent_cli.pipeline.prepare import prepare
from videolatent_cli.recipe import Recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.video.decode import decode_frames

OUTSIDE = r"t:3: \S*a.mp4: start must be below its 4.00 s, got 4.00 s"
SKIP = ", on_bad: skip, max_bad_fraction: 0.5"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five triplets about three videos of 4 s; the third starts where its video ends."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        make_video(tmp_path / name, 16, 4, options=("-metadata", f"title={name}"))
    parts: list[tuple[str, dict[str, object]]] = [
        ("a.mp4", {}),
        ("a.mp4", {"start_seconds": 1, "end_seconds": 3}),
        ("a.mp4", {"start_seconds": 4.0}),
        ("b.mp4", {}),
        ("c.mp4", {"end_seconds": 400}),
    ]
    rows = [{"video": v, "question": "q", "answer": "red", **part} for v, part in parts]
    return write_jsonl(tmp_path / "t.jsonl", rows)


def recipe(backbone: Path, more: str = "", **sections: str) -> Recipe:
    return make_recipe(backbone, data=f"{{type: triplets, path: t.jsonl{more}}}", **sections)


@pytest.mark.parametrize("tier", ["features", "none"])
def test_one_bad_part_costs_one_triplet(small_folder: Path, data: Path, tier: str) -> None:
    tier = f"{{tier: {tier}}}"
    one = recipe(small_folder, cache=tier)
    with pytest.raises(DataError, match=f"^{OUTSIDE}; fix or remove it, or set data.on_bad"):
        prepare(one, build_model(one), data.parent, data.parent / "c")
    strict = recipe(small_folder, ", on_bad: skip, max_bad_fraction: 0.1", cache=tier)
    with pytest.raises(DataError, match=r"1 of 5 parts lie outside of their videos, data.max_bad"):
        prepare(strict, build_model(strict), data.parent, data.parent / "c")
    skip = recipe(small_folder, SKIP, cache=tier)
    prepared, report = prepare(skip, build_model(skip), data.parent, data.parent / "c")
    assert [t.id for t in prepared.dataset.splits["train"]] == ["t:1", "t:2", "t:4", "t:5"]
    assert list(report.document()["left_out"]) == ["t:3"]


def test_a_plan_knows_of_parts_outside(small_folder: Path, data: Path) -> None:
    def triplets(one: Recipe) -> int:
        request = PlanRequest(one, data.parent, data.parent / "run")
        return plan_recipe(request, Machine(data.parent / "c", "cpu")).triplets

    with pytest.raises(DataError, match=OUTSIDE):
        triplets(recipe(small_folder))
    assert triplets(recipe(small_folder, SKIP)) == 4


@pytest.mark.parametrize("deep", [False, True])
def test_a_check_names_parts_outside(data: Path, *, deep: bool) -> None:
    quarantine = data.with_name("q.jsonl")
    report = check_data(CheckRequest(data, quarantine, deep), Machine(data.parent))
    assert (report.videos, report.bad) == (3, {})
    (reason,) = report.outside.values()
    assert reason.startswith("t:3: ")
    (row,) = map(json.loads, quarantine.read_text().splitlines())
    assert (row["start_seconds"], row["end_seconds"]) == (4.0, None)
    assert report.document()["outside"] == [reason]


def test_nothing_left_is_one_line(small_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"none" * 50)
    write_jsonl(tmp_path / "t.jsonl", [{"video": "bad.mp4", "question": "q", "answer": "red"}])
    one = recipe(small_folder, ", on_bad: skip, max_bad_fraction: 1.0")
    with pytest.raises(DataError, match=r"^no triplet is left to train on, got 1 that are all"):
        build_cache(CacheRequest(one, tmp_path), Machine(tmp_path / "c", "cpu"))


def test_a_deep_check_decodes_what_the_recipe_samples(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: dict[tuple[str, object], int] = {}

    def watched(path: Path, spec: object, window: object, *rest: object) -> None:
        frames = decode_frames(path, spec, window, *rest)
        decoded[path.name, window] = len(frames)

    monkeypatch.setattr(module, "decode_frames", watched)
    source = data.with_name("r.yaml")
    source.write_text(
        "version: 1\ndata: {type: triplets, path: t.jsonl}\n"
        "video: {fps: 40, min_frames: 110, max_frames: 128}\n"
    )
    check_data(CheckRequest(source, data.with_name("q.jsonl"), deep=True), Machine(data.parent))
    whole = (None, None)
    assert decoded == {
        ("a.mp4", whole): 128,
        ("a.mp4", (1.0, 3.0)): 110,
        ("b.mp4", whole): 128,
        ("c.mp4", (None, 400.0)): 128,
    }
